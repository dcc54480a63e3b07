from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidstream.config import SourceConfig, load_config
from reidstream.config.redaction import redacted
from reidstream.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.5:554/live", "rtsp://admin:***@10.0.0.5:554/live"),
        ("rtsp://admin:p@ss@host/live", "rtsp://admin:***@host/live"),
        ("rtsp://admin:p/a?ss@host/live", "rtsp://admin:***@host/live"),
        ("rtsp://admin:12@host:8554/live", "rtsp://admin:***@host:8554/live"),
        ("rtsp://admin:@host/live", "rtsp://admin:***@host/live"),
        ("rtsp://token@host/live", "rtsp://***@host/live"),
        ("rtsp://host/live?user=a&password=b&channel=1", "rtsp://host/live?user=a&password=***&channel=1"),
        ("rtsp://host/cgi?authToken=abc#x", "rtsp://host/cgi?authToken=***#x"),
        ("rtsp://host:554/cam@1", "rtsp://host:554/cam@1"),
        ("rtsp://[fe80::1]:554/cam@1", "rtsp://[fe80::1]:554/cam@1"),
        ("rtsp://host/live", "rtsp://host/live"),
        ("/videos/a@b:c.mp4", "/videos/a@b:c.mp4"),
    ],
)
def test_password_is_replaced_and_nothing_else(address: str, shown: str) -> None:
    assert redacted(address) == shown


def test_passwords_inside_other_text_are_replaced() -> None:
    text = "cannot open 'rtsp://a:one@h/x' (tried rtsp://b:two@h/y): refused"
    assert redacted(text) == "cannot open 'rtsp://a:***@h/x' (tried rtsp://b:***@h/y): refused"


_PLAIN = "!$%&()*+,-.0123456789:;=ABab[]^_{|}~"


@given(st.text(_PLAIN + "@", max_size=20) | st.text(_PLAIN + "/?#", max_size=20))
def test_no_password_survives_and_twice_is_once(middle: str) -> None:
    shown = redacted(f"rtsp://user:QqQ{middle}QqQ@camera.local:554/stream")
    assert shown == "rtsp://user:***@camera.local:554/stream"
    assert redacted(shown) == shown


def test_configuration_errors_and_reprs_hide_passwords(tmp_path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text('sources = ["rtsp://user:hunter2@camera/live"]\n')
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert "hunter2" not in str(error.value)
    config = SourceConfig(uri="rtsp://user:hunter2@camera/live")
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)
    assert "rtsp://user:***@camera/live" in repr(config)
