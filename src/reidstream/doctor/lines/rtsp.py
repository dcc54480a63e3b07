"""Known lines about cameras."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

RTSP_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "rtsp-udp",
        "GStreamer",
        r"Could not receive any UDP packets|Retrying using a tcp connection|UDP (packets|"
        r"timeout).{0,60}(firewall|timeout)",
        "The camera's pictures do not arrive over UDP (a firewall, a container's network), so TCP is tried next.",
        "Set rtsp_transport of the source to tcp, which begins with it and loses no packets.",
        "Could not read from resource: Could not receive any UDP packets for 5.0000 seconds, maybe your "
        "firewall is blocking it.",
    ),
    KnownLine(
        "rtsp-timeout",
        "GStreamer",
        r"Timeout while waiting for server response|Could not receive message|Server did not respond|"
        r"Operation timed out.{0,40}rtsp",
        "The camera took the connection and does not answer: busy, restarting, too many viewers, or a "
        "firewall between.",
        "Try it with `ffprobe -rtsp_transport tcp rtsp://…`; restart the camera, and use its second "
        "stream if it has one.",
        "Could not receive message. (Timeout while waiting for server response)",
    ),
    KnownLine(
        "rtsp-not-found",
        "GStreamer",
        r"^(?!.*HTTP/)(?=.*(rtsp|DESCRIBE|SETUP|resource|stream)).*(\(404\)|\b404\b.{0,20}Not Found)|"
        r"454 Session Not Found|Session Not Found",
        "The camera answers, but has no stream under that path (or has forgotten the session).",
        "Look the path up in the camera's manual or with an ONVIF tool; quote an & of the address in the shell.",
        "method DESCRIBE failed: 404 Stream Not Found",
    ),
    KnownLine(
        "rtsp-transport",
        "GStreamer",
        r"461 Unsupported Transport|Unsupported transport|method SETUP failed|No supported (transport|"
        r"stream)",
        "The camera does not speak the transport that was asked for.",
        "Set rtsp_transport of the source to the other one (tcp or udp).",
        "method SETUP failed: 461 Unsupported transport",
    ),
    KnownLine(
        "rtsp-busy",
        "GStreamer",
        r"^(?!.*HTTP/)(?!.*https?:).*(503 Service Unavailable|453 Not Enough Bandwidth|Not Enough Bandwidth)",
        "The camera has as many viewers as it can serve.",
        "Close others, or read from a recorder or relay that takes the stream once.",
        "RTSP response 503 Service Unavailable",
    ),
    KnownLine(
        "packets-lost",
        "GStreamer",
        r"RTP: missed \d+ packets|max delay reached|error while decoding MB|concealing \d+|missing "
        r"picture in access unit|non-existing PPS|no frame!|Could not find ref with POC|left block "
        r"unavailable|corrupted (macroblock|frame)|PPS id out of range|decode_slice_header error|RTP "
        r"timestamps|bad cseq",
        "Packets were lost or the stream was joined in its middle; pictures are damaged until the next key frame.",
        "At the start it is harmless. Otherwise use rtsp_transport tcp, and look at the network and the "
        "camera's bit rate.",
        "[h264 @ 0x5581] error while decoding MB 34 12, bytestream -7",
    ),
    KnownLine(
        "timestamps-odd",
        "GStreamer",
        r"Non-monoton\w+ DTS|DTS .{0,20}out of order|timestamps? (are|is) unset|invalid (dts|pts)|"
        r"Application provided invalid, non monoton",
        "The recording's time stamps jump or run backwards.",
        "They are mended while reading and counted; a camera that does it all the time needs its clock set (NTP).",
        "Non-monotonous DTS in output stream 0:0; previous: 1200, current: 900",
    ),
    KnownLine(
        "rtsp-login",
        "GStreamer",
        r"^(?!.*HTTP/)(?!.*https?:).*(\b401\b.{0,3}(Unauthorized|Authorization)|\(401\)|\bUnauthorized\b|"
        r"Not authorized)",
        "The camera wants a name and a password, or refuses these.",
        "Put them into the address (rtsp://user:password@host/…); they are never printed or stored.",
        "Could not open resource for reading and writing. (401 Unauthorized)",
    ),
    KnownLine(
        "rtsp-silent",
        "GStreamer",
        r"No data from source since last \d+|Resetting source -?\d+, attempts",
        "The camera went silent and the source is being reset; object ids start anew afterwards.",
        "Look at the network; tracks that were open are closed, and nothing that was seen is lost.",
        "WARNING: No data from source since last 10 sec. Trying reconnection",
    ),
    KnownLine(
        "rtsp-given-up",
        "GStreamer",
        r"attempt-exceeded|Number of RTSP reconnection attempts exceeded|reconnection attempts? exceeded",
        "nvurisrcbin used up its attempts to connect again (rtsp-reconnect-attempts); other sources go on.",
        "ReIDStream sets no such number and opens the source again itself; reconnect_limit says for how long.",
        "INFO: element message attempt-exceeded from nvurisrcbin0",
    ),
    KnownLine(
        "rtsp-unreachable",
        "GStreamer",
        r"Could not (open resource for reading|connect to server|read from resource|write to resource)|"
        r"rtsp\S*.{0,120}(Connection (refused|timed out|reset)|No route to host)|"
        r"(Failed to|Could not) connect.{0,40}(rtsp|server|camera)|Connection to tcp://\S+ failed",
        "The camera cannot be reached, or breaks off.",
        "Try the address apart from the pipeline: `ffprobe -rtsp_transport tcp rtsp://…`, in the same container.",
        "ERROR: Could not open resource for reading and writing.",
    ),
)
