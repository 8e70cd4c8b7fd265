// Vectors of L floats, by the compiler's vector extensions: one source for AVX-512, AVX2, SSE and NEON.
#pragma once

#include <cstddef>
#include <type_traits>

#define JAXODE_INLINE inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define JAXODE_LANES 16
#elif defined(__AVX2__)
#define JAXODE_LANES 8
#else
#define JAXODE_LANES 4
#endif

namespace jaxode {

template <int L>
struct Lanes {
  typedef float type __attribute__((vector_size(L * sizeof(float))));
};

template <int L>
using Vec = typename Lanes<L>::type;

// Addresses need no alignment.
template <int L>
JAXODE_INLINE Vec<L> load(const float* from) {
  Vec<L> value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

template <int L>
JAXODE_INLINE void store(float* to, Vec<L> value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

template <int L>
JAXODE_INLINE Vec<L> splat(float value) {
  return value - Vec<L>{};  // which becomes one broadcast; 0 + value would keep the sum, for -0 + 0 is 0
}

// NaN stays NaN, as in jnp.maximum: only what is not above zero and no NaN becomes zero.
template <int L>
JAXODE_INLINE Vec<L> relu(Vec<L> x) {
  return x <= Vec<L>{} ? Vec<L>{} : x;
}

// Calls body(constant, first) for all vectors in blocks of Most, and of smaller powers of two for what remains. The
// block's length is a constant of the compiler, so that a body can keep as many sums in registers.
template <int Most, class Body>
JAXODE_INLINE void in_blocks(int first, int vectors, const Body& body) {
  for (; first + Most <= vectors; first += Most) body(std::integral_constant<int, Most>{}, first);
  if constexpr (Most > 1) {
    if (first < vectors) in_blocks<Most / 2>(first, vectors, body);
  }
}

}  // namespace jaxode
