from __future__ import annotations

import pytest

from reidstream.engines.deepstream.running.gst_properties import load_gst
from reidstream.engines.deepstream.running.pipeline import error_text
from reidstream.errors import ReIDStreamError

pytestmark = pytest.mark.gstreamer


def test_messages_of_elements_name_them_and_hide_passwords() -> None:
    try:
        gst = load_gst()
    except ReIDStreamError as error:
        pytest.skip(str(error))
    from gi.repository import GLib

    element = gst.ElementFactory.make("fakesink", "camera1")
    details = "gstrtspsrc.c(8034):\n  could not connect to rtsp://viewer:hunter2@10.0.0.5/stream1"
    error = GLib.Error.new_literal(
        gst.ResourceError.quark(), "Could not open resource.", int(gst.ResourceError.OPEN_READ)
    )
    text = error_text(gst.Message.new_error(element, error, details))
    assert text.startswith("camera1: Could not open resource. (")
    assert "rtsp://viewer:***@10.0.0.5/stream1" in text
    assert "hunter2" not in text
