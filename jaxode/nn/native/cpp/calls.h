// What all calls share: vectors as wide as the channels allow, and the batch in parts.
#pragma once

#include "arguments.h"
#include "convolution.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace jaxode {
// Vectors as wide as the channels allow: a width of 8 times an odd number takes vectors of 8 on AVX-512 too.
template <class Body>
ffi::Error with_lanes(int64_t channels, const Body& body) {
  try {
#if JAXODE_LANES >= 16
    if (channels % 16 == 0) return body(std::integral_constant<int, 16>{});
#endif
#if JAXODE_LANES >= 8
    if (channels % 8 == 0) return body(std::integral_constant<int, 8>{});
#endif
    return body(std::integral_constant<int, 4>{});
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "jaxode's native kernels found no memory for their workspace");
  }
}

// The batch in parts, each of which sums up the parameters' gradients by itself.
struct Parts {
  int batch, count;
  Parts(ffi::ThreadPool& pool, int64_t batch) : batch((int)batch) {
    const int threads = (int)pool.num_threads();
    count = smaller(threads < 1 ? 1 : threads, this->batch < 1 ? 1 : this->batch);
  }
  int begin(int part) const { return (int)((int64_t)batch * part / count); }
  int end(int part) const { return begin(part + 1); }
};

// Sums part 1, 2, ... into part 0, in this order.
inline void sum_parts(float* sums, int parts, size_t stride, size_t first, size_t last) {
  for (int part = 1; part < parts; part++) {
    for (size_t k = first; k < last; k++) sums[k] += sums[part * stride + k];
  }
}

constexpr int64_t kMost = 1 << 24;  // pixels times channels of a map; far beyond what a cache holds

inline bool fits(int64_t height, int64_t width, int64_t channels) {
  return height >= 1 && width >= 1 && channels >= 8 && channels % 8 == 0 && height <= kMost && width <= kMost &&
         channels <= kMost && height * width <= kMost && height * width * channels <= kMost;
}

constexpr const char* kMisfit = "a map must have pixels, a multiple of 8 channels and no more than 2^24 numbers";

}  // namespace jaxode
