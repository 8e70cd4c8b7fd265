// Sums over arrays of floats whose lengths are multiples of L.
#pragma once

#include "lanes.h"
#include "norm.h"

namespace jaxode {

template <int L>
void add(float* to, const float* from, size_t floats) {
  for (size_t k = 0; k < floats; k += L) store<L>(to + k, load<L>(to + k) + load<L>(from + k));
}

// to += factor * from
template <int L>
void add_scaled(float* to, const float* from, float factor, size_t floats) {
  const Vec<L> f = splat<L>(factor);
  for (size_t k = 0; k < floats; k += L) store<L>(to + k, load<L>(to + k) + f * load<L>(from + k));
}

template <int L>
float dot(const float* a, const float* b, size_t floats) {
  Vec<L> sums = {};
  for (size_t k = 0; k < floats; k += L) sums += load<L>(a + k) * load<L>(b + k);
  float sum = 0;
  for (int l = 0; l < L; l++) sum += sums[l];
  return sum;
}

// sums[C] += the sum over a map's pixels.
template <int L>
void add_pixels(const float* map, const MapShape& shape, float* sums) {
  const int pixels = shape.pixels(), channels = shape.channels;
  in_blocks<kChannels>(0, channels / L, [&](auto count, int block) {
    constexpr int N = decltype(count)::value;
    Vec<L> own[N];
    for (int n = 0; n < N; n++) own[n] = load<L>(sums + (block + n) * L);
    const float* at = map + block * L;
    for (int p = 0; p < pixels; p++, at += channels) {
      for (int n = 0; n < N; n++) own[n] += load<L>(at + n * L);
    }
    for (int n = 0; n < N; n++) store<L>(sums + (block + n) * L, own[n]);
  });
}

}  // namespace jaxode
