// Pieces of decoded pictures as the input of a network: one thread for each pixel of each of its rows.
//
// A cut is a box of a picture in NV12 or P016, stretched into a place of the network's input; what lies around the place
// is grey. The arithmetic is that of OpenCV's resize and transform for bytes, in whole numbers, so that a network sees
// what it sees on a processor, to the last bit; reidstream.gpu.twins does the same in NumPy.

struct Cut {                     // as reidstream.gpu.cuts.CUT
    unsigned long long luma;     // addresses of the planes
    unsigned long long chroma;
    int pitch;                   // bytes from line to line, of both planes
    int deep;                    // 0: bytes; 1: 16 bits with ten of the sample on top
    int left, top, width, height;              // the box, in stored pixels
    int picture_width, picture_height;         // of the stored picture
    int place_left, place_top, place_width, place_height;  // upright, in the network's input
    int transposed, mirrored_x, mirrored_y;    // how what is stored becomes upright: transposed first
    int whole;                   // chroma is interpolated on a grid of its own, as is done with whole pictures
    int matrix[12];              // (Y, U, V, 1) to (B, G, R) in 1024ths, rounding included, row by row
};

struct Tap {                     // two neighbours along one axis, and the second one's weight
    int first, second;
    float weight;
};

// Where a place lies among the samples. Across, whatever lies outside has the outermost sample's weight alone; down,
// both neighbours become the outermost line.
__device__ Tap tap(int place, int places, int samples, bool across) {
    double step = 1.0 / ((double)places / (double)samples);
    float at = (float)(((double)place + 0.5) * step - 0.5);
    float low = floorf(at);
    int first = (int)low;
    Tap found;
    found.weight = at - low;
    if (across && (first < 0 || first >= samples - 1)) found.weight = 0.0f;
    found.first = min(max(first, 0), samples - 1);
    found.second = min(max(first + 1, 0), samples - 1);
    return found;
}

__device__ int in_2048ths(float weight) { return (int)rintf(weight * 2048.0f); }

// Between four neighbours, first across, then down.
__device__ int between(int a, int b, int c, int d, float across, float down) {
    int x0 = in_2048ths(1.0f - across), x1 = in_2048ths(across);
    int y0 = in_2048ths(1.0f - down), y1 = in_2048ths(down);
    int above = a * x0 + b * x1, below = c * x0 + d * x1;
    return (((y0 * (above >> 4)) >> 16) + ((y1 * (below >> 4)) >> 16) + 2) >> 2;
}

__device__ int sample(const Cut &cut, unsigned long long plane, int x, int y) {
    unsigned long long line = plane + (unsigned long long)y * cut.pitch;
    return cut.deep ? ((const unsigned short *)line)[x] >> 6 : ((const unsigned char *)line)[x];
}

__device__ int in_a_byte(int ten_bits) { return min((int)rintf(ten_bits * 0.25f), 255); }

// One sample of `step` interleaved ones, channel `channel`, between four neighbours.
__device__ int smooth(const Cut &cut, unsigned long long plane, int step, int channel, Tap x, Tap y) {
    int a = sample(cut, plane, x.first * step + channel, y.first), b = sample(cut, plane, x.second * step + channel, y.first);
    int c = sample(cut, plane, x.first * step + channel, y.second), d = sample(cut, plane, x.second * step + channel, y.second);
    if (!cut.deep) return between(a, b, c, d, x.weight, y.weight);
    float above = a * (1.0f - x.weight) + b * x.weight, below = c * (1.0f - x.weight) + d * x.weight;
    return in_a_byte((int)rintf(above * (1.0f - y.weight) + below * y.weight));
}

struct Pixel {
    int channel[3];
};

__device__ Pixel bgr(const Cut &cut, int luma, int u, int v) {
    Pixel out;
    for (int channel = 0; channel < 3; channel++) {
        const int *m = cut.matrix + 4 * channel;
        out.channel[channel] = min(max((m[0] * luma + m[1] * u + m[2] * v + m[3]) >> 10, 0), 255);
    }
    return out;
}

__device__ Pixel pixel(const Cut &cut, int x, int y) {
    int luma = sample(cut, cut.luma, x, y);
    int u = sample(cut, cut.chroma, (x >> 1) * 2, y >> 1), v = sample(cut, cut.chroma, (x >> 1) * 2 + 1, y >> 1);
    return cut.deep ? bgr(cut, in_a_byte(luma), in_a_byte(u), in_a_byte(v)) : bgr(cut, luma, u, v);
}

// cuts: as many as the grid has in z. rows: which row of the input each belongs to. input: uint8 (rows, height, width,
// 3), BGR.
extern "C" __global__ void cut_out(const Cut *cuts, const int *rows, unsigned char *input, int width, int height,
                                   int grey) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, line = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= width || line >= height) return;
    const Cut &cut = cuts[blockIdx.z];
    unsigned char *out = input + (((unsigned long long)rows[blockIdx.z] * height + line) * width + column) * 3;
    int x = column - cut.place_left, y = line - cut.place_top;
    if (x < 0 || y < 0 || x >= cut.place_width || y >= cut.place_height) {
        out[0] = out[1] = out[2] = (unsigned char)grey;
        return;
    }
    if (cut.whole) {
        // Planes are scaled as they are stored, and the result is turned.
        int places_x = cut.place_width, places_y = cut.place_height;
        if (cut.mirrored_x) x = places_x - 1 - x;
        if (cut.mirrored_y) y = places_y - 1 - y;
        if (cut.transposed) {
            int other = x; x = y; y = other;
            other = places_x; places_x = places_y; places_y = other;
        }
        // Half as many colours in each direction, rounded up.
        int half_width = (cut.picture_width + 1) / 2, half_height = (cut.picture_height + 1) / 2;
        Tap cx = tap(x, places_x, half_width, true), cy = tap(y, places_y, half_height, false);
        Tap tx = tap(x, places_x, cut.width, true), ty = tap(y, places_y, cut.height, false);
        Pixel found = bgr(cut, smooth(cut, cut.luma, 1, 0, tx, ty), smooth(cut, cut.chroma, 2, 0, cx, cy),
                          smooth(cut, cut.chroma, 2, 1, cx, cy));
        for (int channel = 0; channel < 3; channel++) out[channel] = (unsigned char)found.channel[channel];
        return;
    }
    // A crop is turned first, and scaled upright.
    int width_upright = cut.transposed ? cut.height : cut.width, height_upright = cut.transposed ? cut.width : cut.height;
    Tap tx = tap(x, cut.place_width, width_upright, true), ty = tap(y, cut.place_height, height_upright, false);
    Pixel corner[4];
    for (int place = 0; place < 4; place++) {
        int at_x = place & 1 ? tx.second : tx.first, at_y = place & 2 ? ty.second : ty.first;
        if (cut.mirrored_x) at_x = width_upright - 1 - at_x;
        if (cut.mirrored_y) at_y = height_upright - 1 - at_y;
        corner[place] = cut.transposed ? pixel(cut, cut.left + at_y, cut.top + at_x)
                                       : pixel(cut, cut.left + at_x, cut.top + at_y);
    }
    for (int channel = 0; channel < 3; channel++)
        out[channel] = (unsigned char)between(corner[0].channel[channel], corner[1].channel[channel],
                                              corner[2].channel[channel], corner[3].channel[channel], tx.weight,
                                              ty.weight);
}
