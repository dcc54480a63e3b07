// The people in what a YOLOX says of a batch of pictures: boxes, scores, suppression. One block for each picture.
//
// The arithmetic is that of reidstream.inference.yolox_rows in float32, step by step, and so is the order of what is
// kept: a processor gives the same to the bit.

struct Shown {                  // as reidstream.inference.yolox_rows.SHOWN
    float width, height;        // of the picture, in its own pixels
    float scale_x, scale_y;     // how much of them one pixel of the input is, the other way round
};

const int MOST = 1000;          // candidates that are looked at, the best
const int SORTED = 4096;        // candidates that can be put in order, a power of two

// One row of the output as corners in the picture; false where it is none.
__device__ bool corners(const float *row, const float *cell, bool decoded, const Shown &shown, float *box) {
    for (int axis = 0; axis < 2; axis++) {
        float centre = row[axis], side = row[2 + axis];
        if (!decoded) {
            centre = (centre + cell[axis]) * cell[2];
            // In double precision the exponential is the same everywhere. A person is never e^10 cells wide.
            side = (float)exp((double)fminf(side, 10.0f)) * cell[2];
            if (isnan(row[2 + axis])) return false;
        }
        float scale = axis ? shown.scale_y : shown.scale_x, limit = axis ? shown.height : shown.width;
        float low = (centre - side / 2.0f) / scale, high = (centre + side / 2.0f) / scale;
        if (isnan(low) || isnan(high)) return false;
        box[axis] = fminf(fmaxf(low, 0.0f), limit);
        box[2 + axis] = fminf(fmaxf(high, 0.0f), limit);
    }
    return box[2] > box[0] && box[3] > box[1];
}

__device__ float overlap(const float *a, const float *b) {
    float width = fmaxf(fminf(a[2], b[2]) - fmaxf(a[0], b[0]), 0.0f);
    float height = fmaxf(fminf(a[3], b[3]) - fmaxf(a[1], b[1]), 0.0f);
    float inner = width * height;
    float both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner;
    return both > 0.0f ? inner / both : 0.0f;
}

// output: float32 (pictures, cells, columns): centre, size, objectness, ..., the score in `column`. grid: float32
// (cells, 3): left, upper edge and stride of each cell. shown: one for each picture. people: float32 (pictures, kept, 5),
// corners and score, the best first. counts: int32 (pictures,), how many there are, -1 where there are too many.
extern "C" __global__ void find_people(const float *output, const float *grid, const Shown *shown, float *people,
                                       int *counts, int cells, int columns, int column, int decoded, int kept,
                                       float confidence, float nms) {
    // Candidates in order; behind the best of them, when they are sorted, there is room for their boxes.
    __shared__ unsigned long long keys[SORTED];
    __shared__ int found, alive[MOST];
    float(*boxes)[4] = (float(*)[4])(keys + 1024);
    const float *rows = output + (unsigned long long)blockIdx.x * cells * columns;
    const Shown size = shown[blockIdx.x];
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    for (int cell = threadIdx.x; cell < cells; cell += blockDim.x) {
        const float *row = rows + (unsigned long long)cell * columns;
        float score = row[4] * row[column], box[4];
        if (!(score >= confidence) || !corners(row, grid + 3 * cell, decoded, size, box)) continue;
        int place = atomicAdd(&found, 1);
        // The best first, and of equals the first; scores are not negative, so their bits are in their order.
        if (place < SORTED) keys[place] = (unsigned long long)~__float_as_uint(score + 0.0f) << 32 | (unsigned)cell;
    }
    __syncthreads();
    if (found > SORTED) {
        if (threadIdx.x == 0) counts[blockIdx.x] = -1;
        return;
    }
    int length = 1;
    while (length < found) length *= 2;
    for (int place = found + threadIdx.x; place < length; place += blockDim.x) keys[place] = ~0ull;
    __syncthreads();
    for (int run = 2; run <= length; run *= 2)
        for (int step = run / 2; step > 0; step /= 2) {
            for (int place = threadIdx.x; place < length; place += blockDim.x) {
                int other = place ^ step;
                unsigned long long a = keys[place], b = keys[other < length ? other : place];
                if (other > place && (a > b) == ((place & run) == 0)) {
                    keys[place] = b;
                    keys[other] = a;
                }
            }
            __syncthreads();
        }
    int count = min(found, MOST);
    for (int place = threadIdx.x; place < count; place += blockDim.x) {
        unsigned cell = (unsigned)keys[place];
        float box[4];
        corners(rows + (unsigned long long)cell * columns, grid + 3 * cell, decoded, size, box);
        for (int n = 0; n < 4; n++) boxes[place][n] = box[n];
        alive[place] = 1;
    }
    __syncthreads();
    for (int better = 0; better < count; better++) {
        if (alive[better])
            for (int worse = better + 1 + threadIdx.x; worse < count; worse += blockDim.x)
                if (alive[worse] && overlap(boxes[better], boxes[worse]) > nms) alive[worse] = 0;
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        int left = 0;
        for (int place = 0; place < count; place++) left += alive[place];
        counts[blockIdx.x] = left <= kept ? left : -1;
        found = left;
        for (int place = 0, next = 0; place < count; place++) alive[place] = alive[place] ? next++ : -1;
    }
    __syncthreads();
    if (found > kept) return;
    for (int place = threadIdx.x; place < count; place += blockDim.x) {
        if (alive[place] < 0) continue;
        float *person = people + ((unsigned long long)blockIdx.x * kept + alive[place]) * 5;
        for (int n = 0; n < 4; n++) person[n] = boxes[place][n];
        person[4] = fminf(__uint_as_float(~(unsigned)(keys[place] >> 32)), 1.0f);
    }
}
