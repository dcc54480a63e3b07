"""Known lines: GStreamer."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

GSTREAMER_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "gst-optional-plugin",
        "GStreamer",
        r"Failed to load plugin.*(libtritonserver|librivermax|libnvdsgst_(inferserver|udp|ucx)|libucs|"
        r"libucp|libjack|libdc1394|libavcodec|libmpg123|libmjpeg|libmpeg2|libx26[45]|libdvdread|libcdio|"
        r"libvisual|libSDL)",
        "A plugin that is not needed here was not loaded, because its library is not installed "
        "(Triton's, Rivermax' or a codec's).",
        "Nothing has to be done, unless you use that very element (nvinferserver needs the triton image).",
        "GStreamer-WARNING **: Failed to load plugin "
        "'/usr/lib/gstreamer-1.0/deepstream/libnvdsgst_inferserver.so': libtritonserver.so: cannot open "
        "shared object file",
        harmless=True,
    ),
    KnownLine(
        "gst-scanner",
        "GStreamer",
        r"External plugin loader failed|gst-plugin-scanner.{0,120}(not found|No such|child process)",
        "GStreamer could not scan its plugins in a helper process and does it itself.",
        "Nothing has to be done; `rm -r ~/.cache/gstreamer-1.0` when plugins are missed.",
        "GStreamer-WARNING **: External plugin loader failed. This most likely means that the plugin "
        "loader helper binary was not found",
        harmless=True,
    ),
    KnownLine(
        "no-audio-decoder",
        "GStreamer",
        r"No decoder available for type ['\"]?audio/|missing.{0,20}(plugin|plug-in|decoder).{0,60}(AAC|"
        r"audio|MPEG-4 AAC)",
        "The recording's sound cannot be decoded, and nobody needs it.",
        "Nothing has to be done; the picture is read.",
        "No decoder available for type 'audio/mpeg, mpegversion=(int)4'",
        harmless=True,
    ),
    KnownLine(
        "egl-display",
        "GStreamer",
        r"nveglglessink|No EGL Display|EGL ?display|eglGetDisplay|EGL_(NOT_INITIALIZED|BAD_\w+)|Could not "
        r"initiali[sz]e (X|EGL|display) ?\w*|create X11 window|Could not (open|get) .{0,20}display|cannot "
        r"open display|Unable to open X|Authorization required, but no authorization|No protocol "
        r"specified|Failed to (create|open) .{0,20}(window|display|EGLImage)|No (display|DISPLAY) (found|"
        r"set)|Can't open display|\bwayland\b.{0,30}(fail|error)",
        "There is no screen here (a server, or a container), and the pipeline wants to show a window or use EGL.",
        "Use fakesink or a file instead of nveglglessink (ReIDStream opens no window) and `unset "
        "DISPLAY`. To see it: `xhost +local:`, and -e DISPLAY -v /tmp/.X11-unix:/tmp/.X11-unix for the "
        "container.",
        "nveglglessink cannot create X11 window: Could not initialise EGL display connection",
    ),
    KnownLine(
        "clock-behind",
        "GStreamer",
        r"There may be a timestamping problem|A lot of buffers are being dropped|computer is too slow",
        "The sink waits for each picture's time and gets it late: the pipeline is slower than the "
        "stream, or its time stamps are off.",
        "Set sync=0 on the sink (ReIDStream does); otherwise fewer sources, a larger interval of the "
        "detector, or the GPU's load.",
        "There may be a timestamping problem, or this computer is too slow.",
    ),
    KnownLine(
        "decoder-limits",
        "GStreamer",
        r"Error Code: 801|CUDA_ERROR_NOT_SUPPORTED|Feature not supported on this GPU|codec.{0,30}not "
        r"supported on this GPU|Unsupported (codec|bit ?depth|chroma|resolution|profile)|maximum "
        r"(supported )?(resolution|width|height)|NVDEC.{0,40}(not|unsupported)",
        "The GPU's decoder cannot do this codec, size, bit depth or colour format (10-bit H.264, 4:2:2, "
        "AV1 on older cards).",
        "Set the camera to H.264 or H.265 with 8 bits in 4:2:0, or read the source with the local engine.",
        "Feature not supported on this GPU (Error Code: 801)",
    ),
    KnownLine(
        "no-encoder-hardware",
        "GStreamer",
        r"nvv4l2h26[45]enc|/dev/v4l2-nvenc|NVENC.{0,60}(not|fail|unavail)|no capable devices found|"
        r"OpenEncodeSessionEx failed",
        "This GPU has no video encoder (A100, H100 and some others have none), or its sessions are used up.",
        "Encode on the CPU (x264enc); ReIDStream's DeepStream engine needs no encoder.",
        "OpenEncodeSessionEx failed: no capable devices found",
    ),
    KnownLine(
        "decoder-remark",
        "GStreamer",
        r"Opening in BLOCKING MODE|NvMMLite(Open|Block)|NVMEDIA|Reading vendor\.tegra|ENC_CTX|NvxLiteH264|"
        r"Failed to query video capabilities: Inappropriate ioctl|TVMR:|gst_v4l2_(probe|get_type)|"
        r"S_EXT_CTRLS for CUDA_GPU_ID|Cuvid parser|Redistribute latency",
        "A remark of the video decoder as it opens.",
        "Nothing has to be done, as long as pictures come.",
        "Opening in BLOCKING MODE ",
        harmless=True,
    ),
    KnownLine(
        "mux-size",
        "GStreamer",
        r"(width|height|resolution|dimensions).{0,40}(not|must be) (been )?set|Output width not set|"
        r"batch-size (is )?not set|nvstreammux.{0,60}(batch-size|batched-push-timeout).{0,40}(not|must)",
        "nvstreammux needs width, height and batch-size, which have no defaults.",
        "Set them: the sources' usual size, and a batch of as many as there are sources.",
        "nvstreammux: Output width not set",
    ),
    KnownLine(
        "not-negotiated",
        "GStreamer",
        r"not-negotiated|Could not negotiate|caps negotiation|failed to negotiate|Delayed linking failed",
        "Two elements cannot agree on a format, mostly NVMM memory meeting an element of the CPU, or the other way.",
        "Put nvvideoconvert between them (and a capsfilter that says which memory); the sentence names the elements.",
        "streaming stopped, reason not-negotiated (-4)",
    ),
    KnownLine(
        "no-such-file",
        "GStreamer",
        r"Resource not found|No such file \"|Could not open file .{0,200}for reading|Invalid URI|no uri "
        r"specified|No URI handler|Could not open resource.{0,80}file",
        "The file or address is not there, or not written as an address.",
        "Write file:///absolute/path or rtsp://…; in a container, see that the folder is mounted.",
        "ERROR: from element /GstURIDecodeBin: Resource not found.",
    ),
    KnownLine(
        "file-damaged",
        "GStreamer",
        r"Could not demultiplex|no playable streams|moov atom not found|Invalid data found when processing input|"
        r"Could not determine type of stream|This file is (invalid|corrupt|incomplete)|"
        r"stream is of a different type|Stream doesn't contain enough data",
        "The file is cut short (recording was stopped hard), empty, or no video.",
        "Try it with `ffprobe FILE`; a recorder that writes MPEG-TS or Matroska leaves files that can be "
        "read after a crash.",
        "[mov,mp4 @ 0x55] moov atom not found",
    ),
    KnownLine(
        "decode-failed",
        "GStreamer",
        r"Failed to (process|decode) (a )?(frame|picture)|Stream format not found, dropping|"
        r"Device .{0,40}failed during initialization|Call to S_FMT failed|\b(nvv4l2\w*|avdec_\w+|"
        r"nv\w+dec)\d*\b.{0,40}(failed|error)|Could not decode stream|Error decoding (frame|picture|stream|video)",
        "The decoder gave up on the stream: damaged data, a codec change, no memory, or too many decoders at once.",
        "A live source is opened again. For a file: `ffmpeg -v error -i FILE -f null -` shows where it is damaged.",
        "nvv4l2decoder0: Failed to process frame",
    ),
    KnownLine(
        "no-element",
        "GStreamer",
        r"no element \"?nv\w+|Unable to create (NvStreamMux|pgie|nv\w+)|Failed to load plugin .*(libnvds|libgstnv)|"
        r"No such (element|plugin).{0,30}nv\w+|nv\w+' ?(not found|could not be created)",
        "DeepStream's plugins are not registered: no DeepStream, or a library of theirs (often CUDA's) did not load.",
        "Run inside the DeepStream image with --gpus all; then remove ~/.cache/gstreamer-1.0 and try gst-inspect-1.0.",
        'WARNING: erroneous pipeline: no element "nvinfer"',
    ),
    KnownLine(
        "no-decoder",
        "GStreamer",
        r"missing a plug-in|No decoder available|no suitable plugins? (was |were )?found",
        "GStreamer has no decoder or demuxer for this video.",
        "In the DeepStream image run user_additional_install.sh, which adds what NVIDIA may not ship.",
        "Your GStreamer installation is missing a plug-in.",
    ),
    KnownLine(
        "nvdec-missing",
        "GStreamer",
        r"libnvcuvid|Failed to query video capabilities|nvv4l2decoder.*fail",
        "The container does not see the video decoder.",
        "Set NVIDIA_DRIVER_CAPABILITIES=compute,utility,video.",
        "libnvcuvid.so.1: cannot open shared object file: No such file or directory",
    ),
    KnownLine(
        "not-linked",
        "GStreamer",
        r"reason not-linked|could not link|not-linked \(-1\)",
        "Two elements were not joined, mostly because the file holds no video, or of a kind that is not expected.",
        "nvurisrcbin links by itself once it knows the stream; use it in the place of filesrc and a parser.",
        "streaming stopped, reason not-linked (-1)",
    ),
    KnownLine(
        "stream-error",
        "GStreamer",
        r"Internal data stream error",
        "An element further down stopped; its own message stands above.",
        "Look for the first error of the log.",
        "ERROR: from element /GstPipeline/source: Internal data stream error.",
    ),
    KnownLine(
        "gst-no-element",
        "GStreamer",
        r"no element \"|No such element or plugin|Element .{0,40}(could not be created|not found)|Failed "
        r"to load plugin|erroneous pipeline|gst_element_factory_make.{0,40}(fail|None)",
        "GStreamer lacks that element: its plugin package is not installed, or did not load.",
        "`gst-inspect-1.0 NAME`; x264enc is in gstreamer1.0-plugins-ugly, avdec_* in gstreamer1.0-libav, "
        "rtph264depay in -good.",
        'WARNING: erroneous pipeline: no element "x264enc"',
    ),
    KnownLine(
        "gst-critical",
        "GStreamer",
        r"(GStreamer|GLib|GLib-GObject)-(CRITICAL|WARNING) \*\*",
        "A program handed GStreamer something invalid, mostly an element that was not made (None) or already freed.",
        "The element that is missing is named in an earlier line; look for that.",
        "GStreamer-CRITICAL **: gst_element_link: assertion 'GST_IS_ELEMENT (src)' failed",
    ),
)
