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

// How sharp people are: what reidstream.sharpness computes of the grey values of their crops at 48x96
// pixels, which are OpenCV's to the bit. One block for some of the people of each picture.

const int ACROSS = 48, DOWN = 96;

struct Crop {
    const Cut *cut;              // the whole picture
    int left, top, width, height;  // in upright pixels
};

__device__ __noinline__ int grey(const Crop &crop, int x, int y) {
    const Cut &cut = *crop.cut;
    int width = cut.transposed ? cut.picture_height : cut.picture_width;
    int height = cut.transposed ? cut.picture_width : cut.picture_height;
    x += crop.left;
    y += crop.top;
    if (cut.mirrored_x) x = width - 1 - x;
    if (cut.mirrored_y) y = height - 1 - y;
    Pixel found = cut.transposed ? pixel(cut, y, x) : pixel(cut, x, y);
    return (found.channel[0] * 3735 + found.channel[1] * 19235 + found.channel[2] * 9798 + (1 << 14)) >> 15;
}

// The samples that one place of a shorter axis covers, and their weights.
struct Span {
    int first, whole, last;      // first and last: partly covered samples or -1; whole ones lie between
    int begin;                   // the first whole one
    float of_first, of_whole, of_last;
};

__device__ Span span(int place, int samples, double scale) {
    double from = place * scale, until = from + scale;
    double cell = fmin(scale, samples - from);
    int begin = (int)ceil(from), end = min((int)floor(until), samples - 1);
    begin = min(begin, end);
    Span found;
    found.begin = begin;
    found.whole = end - begin;
    found.first = begin - from > 1e-3 ? begin - 1 : -1;
    found.of_first = (float)((begin - from) / cell);
    found.of_whole = (float)(1.0 / cell);
    found.last = until - end > 1e-3 ? end : -1;
    found.of_last = (float)(fmin(fmin(until - end, 1.0), cell) / cell);
    return found;
}

__device__ float line_sum(const Crop &crop, const Span &x, int y) {
    float sum = 0.0f;
    if (x.first >= 0) sum = sum + grey(crop, x.first, y) * x.of_first;
    for (int n = 0; n < x.whole; n++) sum = sum + grey(crop, x.begin + n, y) * x.of_whole;
    if (x.last >= 0) sum = sum + grey(crop, x.last, y) * x.of_last;
    return sum;
}

// Where a place of a longer axis lies among the samples.
__device__ Tap near_tap(int place, int places, int samples, bool across) {
    double inverse = (double)places / samples, scale = 1.0 / inverse;
    Tap found;
    int first = (int)floor(place * scale);
    float weight = (float)((place + 1) - (first + 1) * inverse);
    weight = weight <= 0.0f ? 0.0f : weight - floorf(weight);
    if (across && first >= samples - 1) weight = 0.0f;
    found.weight = weight;
    found.first = min(max(first, 0), samples - 1);
    found.second = min(max(first + 1, 0), samples - 1);
    return found;
}

__device__ int small_grey(const Crop &crop, int x, int y) {
    double scale_x = 1.0 / ((double)ACROSS / crop.width), scale_y = 1.0 / ((double)DOWN / crop.height);
    if (crop.width == ACROSS && crop.height == DOWN) return grey(crop, x, y);
    if (scale_x < 1.0 || scale_y < 1.0) {
        Tap tx = near_tap(x, ACROSS, crop.width, true), ty = near_tap(y, DOWN, crop.height, false);
        return between(grey(crop, tx.first, ty.first), grey(crop, tx.second, ty.first), grey(crop, tx.first, ty.second),
                       grey(crop, tx.second, ty.second), tx.weight, ty.weight);
    }
    if (crop.width % ACROSS == 0 && crop.height % DOWN == 0) {
        int wide = crop.width / ACROSS, high = crop.height / DOWN, sum = 0;
        for (int line = 0; line < high; line++)
            for (int column = 0; column < wide; column++) sum += grey(crop, x * wide + column, y * high + line);
        if (wide == 2 && high == 2) return (sum + 2) >> 2;
        return (int)rintf(sum * (1.0f / (wide * high)));
    }
    Span sx = span(x, crop.width, scale_x), sy = span(y, crop.height, scale_y);
    float sum = 0.0f;
    if (sy.first >= 0) sum = sum + line_sum(crop, sx, sy.first) * sy.of_first;
    for (int n = 0; n < sy.whole; n++) sum = sum + line_sum(crop, sx, sy.begin + n) * sy.of_whole;
    if (sy.last >= 0) sum = sum + line_sum(crop, sx, sy.last) * sy.of_last;
    return min((int)rintf(sum), 255);
}

// cuts: whole pictures, as many as the grid has in y; rows: which row of the detector's input each is. people, counts: as
// find_people leaves them. judged: uint64 (rows, kept, 3): the sum of the grey values of each person's small picture, the
// sum of their squares, and that of the squares of its Laplacian.
extern "C" __global__ void judge(const Cut *cuts, const int *rows, const float *people, const int *counts,
                                 unsigned long long *judged, int kept) {
    __shared__ unsigned char small[DOWN][ACROSS];
    __shared__ unsigned long long sums[3];
    int row = rows[blockIdx.y], count = counts[row];
    Crop crop;
    crop.cut = cuts + blockIdx.y;
    int width = crop.cut->transposed ? crop.cut->picture_height : crop.cut->picture_width;
    int height = crop.cut->transposed ? crop.cut->picture_width : crop.cut->picture_height;
    for (int person = blockIdx.x; person < count; person += gridDim.x) {
        const float *box = people + ((unsigned long long)row * kept + person) * 5;
        crop.left = min(max((int)box[0], 0), width - 1);
        crop.top = min(max((int)box[1], 0), height - 1);
        crop.width = max(min((int)rintf(box[2]), width), crop.left + 1) - crop.left;
        crop.height = max(min((int)rintf(box[3]), height), crop.top + 1) - crop.top;
        if (threadIdx.x < 3) sums[threadIdx.x] = 0;
        for (int place = threadIdx.x; place < ACROSS * DOWN; place += blockDim.x)
            small[place / ACROSS][place % ACROSS] = (unsigned char)small_grey(crop, place % ACROSS, place / ACROSS);
        __syncthreads();
        unsigned long long sum = 0, squares = 0, energy = 0;
        for (int place = threadIdx.x; place < ACROSS * DOWN; place += blockDim.x) {
            int x = place % ACROSS, y = place / ACROSS, here = small[y][x];
            int left = small[y][x ? x - 1 : 1], right = small[y][x < ACROSS - 1 ? x + 1 : ACROSS - 2];
            int above = small[y ? y - 1 : 1][x], below = small[y < DOWN - 1 ? y + 1 : DOWN - 2][x];
            long long edge = left + right + above + below - 4 * here;
            sum += here;
            squares += here * here;
            energy += edge * edge;
        }
        atomicAdd(&sums[0], sum);
        atomicAdd(&sums[1], squares);
        atomicAdd(&sums[2], energy);
        __syncthreads();
        if (threadIdx.x < 3) judged[((unsigned long long)row * kept + person) * 3 + threadIdx.x] = sums[threadIdx.x];
        __syncthreads();
    }
}

// Boxes of pictures as they are, upright: one after the other in `pixels`, each from its offset on. As many as the grid
// has in z; a box's place is not looked at.
extern "C" __global__ void copy_out(const Cut *cuts, const unsigned long long *offsets, unsigned char *pixels) {
    const Cut &cut = cuts[blockIdx.z];
    int width = cut.transposed ? cut.height : cut.width, height = cut.transposed ? cut.width : cut.height;
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    unsigned char *out = pixels + offsets[blockIdx.z] + ((unsigned long long)y * width + x) * 3;
    if (cut.mirrored_x) x = width - 1 - x;
    if (cut.mirrored_y) y = height - 1 - y;
    Pixel found = cut.transposed ? pixel(cut, cut.left + y, cut.top + x) : pixel(cut, cut.left + x, cut.top + y);
    for (int channel = 0; channel < 3; channel++) out[channel] = (unsigned char)found.channel[channel];
}
