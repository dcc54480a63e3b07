// Pieces of decoded pictures as the input of a network: one thread for each pixel of each of its rows.
//
// A cut is a box of a picture in NV12 or P016, stretched into a place of the network's input; what lies around the place
// is grey. Everything is computed in the order in which reidstream.gpu.twins computes it, without fused
// multiplications, so that both agree to the last bit.

struct Cut {                     // as reidstream.gpu.cuts.CUT
    unsigned long long luma;     // addresses of the planes
    unsigned long long chroma;
    int pitch;                   // bytes from line to line, of both planes
    int deep;                    // 0: bytes; 1: 16 bits with the sample on top
    int left, top, width, height;              // the box, in stored pixels
    int picture_width, picture_height;         // of the stored picture
    int place_left, place_top, place_width, place_height;  // upright, in the network's input
    int transposed, mirrored_x, mirrored_y;    // how what is stored becomes upright: transposed first
    int whole;                   // chroma is interpolated on a grid of its own, as is done with whole pictures
    float matrix[12];            // (Y, U, V, 1) to (B, G, R), row by row
};

struct Tap {                     // two neighbours along one axis and the weight of the second
    int first, second;
    float weight;
};

__device__ Tap tap(int place, int places, int samples) {
    float at = (place + 0.5f) * ((float)samples / (float)places) - 0.5f;
    float low = floorf(at);
    Tap found;
    found.first = (int)low;
    found.weight = at - low;
    if (found.first < 0) { found.first = 0; found.weight = 0.0f; }
    if (found.first >= samples - 1) { found.first = samples - 1; found.weight = 0.0f; }
    found.second = min(found.first + 1, samples - 1);
    return found;
}

__device__ float between(float a, float b, float weight) { return a * (1.0f - weight) + b * weight; }

__device__ float sample(unsigned long long plane, int pitch, int deep, int x, int y) {
    if (deep)
        return rintf((float)((const unsigned short *)(plane + (unsigned long long)y * pitch))[x] * (1.0f / 256.0f));
    return (float)((const unsigned char *)(plane + (unsigned long long)y * pitch))[x];
}

// One sample of `step` interleaved ones, channel `channel`, between four neighbours, rounded as a plane of bytes is.
__device__ float smooth(const Cut &cut, unsigned long long plane, int step, int channel, Tap x, Tap y) {
    float above = between(sample(plane, cut.pitch, cut.deep, x.first * step + channel, y.first),
                          sample(plane, cut.pitch, cut.deep, x.second * step + channel, y.first), x.weight);
    float below = between(sample(plane, cut.pitch, cut.deep, x.first * step + channel, y.second),
                          sample(plane, cut.pitch, cut.deep, x.second * step + channel, y.second), x.weight);
    return rintf(between(above, below, y.weight));
}

__device__ float3 bgr(const Cut &cut, float luma, float u, float v) {
    const float *m = cut.matrix;
    float3 out;
    out.x = fminf(fmaxf(rintf(m[0] * luma + m[1] * u + m[2] * v + m[3]), 0.0f), 255.0f);
    out.y = fminf(fmaxf(rintf(m[4] * luma + m[5] * u + m[6] * v + m[7]), 0.0f), 255.0f);
    out.z = fminf(fmaxf(rintf(m[8] * luma + m[9] * u + m[10] * v + m[11]), 0.0f), 255.0f);
    return out;
}

__device__ float3 pixel(const Cut &cut, int x, int y) {
    return bgr(cut, sample(cut.luma, cut.pitch, cut.deep, x, y),
               sample(cut.chroma, cut.pitch, cut.deep, (x >> 1) * 2, y >> 1),
               sample(cut.chroma, cut.pitch, cut.deep, (x >> 1) * 2 + 1, y >> 1));
}

// cuts: of as many rows as the grid has in z. rows: which row of the input each belongs to. input: uint8 (rows, height,
// width, 3), BGR.
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
    int places_x = cut.place_width, places_y = cut.place_height;
    if (cut.mirrored_x) x = places_x - 1 - x;
    if (cut.mirrored_y) y = places_y - 1 - y;
    if (cut.transposed) {
        int other = x; x = y; y = other;
        other = places_x; places_x = places_y; places_y = other;
    }
    Tap tx = tap(x, places_x, cut.width), ty = tap(y, places_y, cut.height);
    float3 found;
    if (cut.whole) {
        // Half as many colours in each direction, rounded up.
        Tap cx = tap(x, places_x, (cut.picture_width + 1) / 2), cy = tap(y, places_y, (cut.picture_height + 1) / 2);
        found = bgr(cut, smooth(cut, cut.luma, 1, 0, tx, ty), smooth(cut, cut.chroma, 2, 0, cx, cy),
                    smooth(cut, cut.chroma, 2, 1, cx, cy));
    } else {
        float3 a = pixel(cut, cut.left + tx.first, cut.top + ty.first);
        float3 b = pixel(cut, cut.left + tx.second, cut.top + ty.first);
        float3 c = pixel(cut, cut.left + tx.first, cut.top + ty.second);
        float3 d = pixel(cut, cut.left + tx.second, cut.top + ty.second);
        found.x = rintf(between(between(a.x, b.x, tx.weight), between(c.x, d.x, tx.weight), ty.weight));
        found.y = rintf(between(between(a.y, b.y, tx.weight), between(c.y, d.y, tx.weight), ty.weight));
        found.z = rintf(between(between(a.z, b.z, tx.weight), between(c.z, d.z, tx.weight), ty.weight));
    }
    out[0] = (unsigned char)found.x;
    out[1] = (unsigned char)found.y;
    out[2] = (unsigned char)found.z;
}
