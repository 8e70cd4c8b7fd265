// What all calls share: vectors as wide as the channels allow, and the batch in parts.
#pragma once

#include "arguments.h"
#include "convolution.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace jaxode {

// Vectors as wide as the channels allow. Their number is a multiple of 8 (`fits`): 8 times an odd number takes vectors of
// 8 on AVX-512 too, and no processor that has these needs vectors of 4.
template <class Body>
ffi::Error with_lanes(int64_t channels, const Body& body) {
  try {
#if JAXODE_LANES >= 16
    if (channels % 16 == 0) return body(std::integral_constant<int, 16>{});
#endif
    return body(std::integral_constant<int, (JAXODE_LANES >= 8 ? 8 : 4)>{});
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "jaxode's native kernels found no memory for their workspace");
  }
}

// How many threads to share work out to.
inline int threads_of(const ffi::ThreadPool& pool) { return pool.num_threads() < 1 ? 1 : (int)pool.num_threads(); }

// The batch in parts, each of which sums up the parameters' gradients by itself.
struct Parts {
  int batch, count;
  Parts(int threads, int64_t batch) : batch((int)batch), count(smaller(threads, batch < 1 ? 1 : (int)batch)) {}
  int begin(int part) const { return (int)((int64_t)batch * part / count); }
  int end(int part) const { return begin(part + 1); }
};

// A batch of so many examples of as many images each; the parameters' gradients are summed up for each example by
// itself. Calls body(example, threads): all threads for one example after the other where there is one, else a thread
// for each.
template <class Body>
void for_examples(ffi::ThreadPool& pool, int64_t examples, const Body& body) {
  if (examples == 1) return body((int64_t)0, threads_of(pool));
  const Parts parts(threads_of(pool), examples);
  parallel(pool, parts.count, [&](int part) {
    for (int64_t example = parts.begin(part); example < parts.end(part); example++) body(example, 1);
  });
}

// Whether a batch can be that many examples.
inline bool divides(int64_t examples, int64_t batch) { return examples >= 1 && examples <= INT32_MAX && batch % examples == 0; }

constexpr const char* kNoExamples = "the batch must be examples of as many images each";

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
