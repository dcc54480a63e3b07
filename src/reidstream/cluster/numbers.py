"""A decider's numbers for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from reidstream.cluster.deciding import Deciding
from reidstream.errors import ConfigError
from reidstream.server.api.health import backlog_numbers


class Numbers:
    """What is shown of whoever decides in this process; while nobody does, that it stands by."""

    def __init__(self) -> None:
        self._deciding: Deciding | None = None

    def watch(self, deciding: Deciding | None) -> None:
        self._deciding = deciding

    def answer(self, host: str, port: int) -> None:
        """Answer over HTTP from now on. Raises ConfigError when the address cannot be listened at."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {host} port {port}: {error.strerror or error}; choose another with --metrics-port"
            ) from None

    def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        deciding = self._deciding
        decides = deciding is not None
        shown: list[GaugeMetricFamily | CounterMetricFamily] = [
            GaugeMetricFamily("reidstream_decides", "1 while this process decides, 0 while it stands by", decides)
        ]
        return shown if deciding is None else [*shown, *backlog_numbers(deciding.desk)]
