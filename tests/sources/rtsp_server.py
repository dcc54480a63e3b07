"""A real RTSP server on loopback, run as a child process by an interpreter that has GStreamer's ``gi``.

Arguments: the port (0: any) and, optionally, a password for the user ``cam`` and a PEM file with a certificate and its
key, with which it speaks TLS. Prints the port when it is ready.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,height=96,framerate=25/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay config-interval=1 name=pay0 )"
)


def restrict(server, factory, password):
    """Let only ``cam`` with this password watch."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("cam", password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("viewer")
    for name in ("access", "construct"):
        permissions.add_permission_for_role("viewer", f"media.factory.{name}", True)
    factory.set_permissions(permissions)


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(LAUNCH)
    if len(sys.argv) > 2:
        restrict(server, factory, sys.argv[2])
    if len(sys.argv) > 3:
        server.get_auth().set_tls_certificate(Gio.TlsCertificate.new_from_file(sys.argv[3]))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
