// Group norm of one image's channels-last map (Wu and He 2018, equations 1 to 3), with a two-pass variance.
#pragma once

#include <cmath>

#include "lanes.h"

namespace jaxode {

// Vectors of channels that a pass over the pixels holds the sums of.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kChannels = 4;
#else
constexpr int kChannels = 2;
#endif

struct MapShape {
  int height, width, channels, groups;
  float eps;
  int pixels() const { return height * width; }
  size_t size() const { return (size_t)height * width * channels; }
};

// Each channel's value replaced by the mean over its group.
inline void average_groups(float* values, const MapShape& shape) {
  const int size = shape.channels / shape.groups;
  for (int first = 0; first < shape.channels; first += size) {
    float sum = 0;
    for (int c = first; c < first + size; c++) sum += values[c];
    for (int c = first; c < first + size; c++) values[c] = sum / size;
  }
}

// Mean and inverse standard deviation of each channel's group.
struct Statistics {
  float *mean, *inverse;
};

template <int L>
void finish_statistics(const MapShape& shape, Statistics s) {
  average_groups(s.inverse, shape);
  for (int c = 0; c < shape.channels; c++) s.inverse[c] = 1.0f / std::sqrt(s.inverse[c] + shape.eps);
}

template <int L>
void statistics(const float* x, const MapShape& shape, Statistics s) {
  const int channels = shape.channels, pixels = shape.pixels();
  const Vec<L> share = splat<L>(1.0f / pixels);
  in_blocks<kChannels>(0, channels / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    Vec<L> sums[N] = {};
    const float* at = x + first * L;
    for (int p = 0; p < pixels; p++, at += channels) {
      for (int n = 0; n < N; n++) sums[n] += load<L>(at + n * L);
    }
    for (int n = 0; n < N; n++) store<L>(s.mean + (first + n) * L, sums[n] * share);
  });
  average_groups(s.mean, shape);
  in_blocks<kChannels>(0, channels / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    Vec<L> mean[N], sums[N] = {};
    for (int n = 0; n < N; n++) mean[n] = load<L>(s.mean + (first + n) * L);
    const float* at = x + first * L;
    for (int p = 0; p < pixels; p++, at += channels) {
      for (int n = 0; n < N; n++) {
        Vec<L> centred = load<L>(at + n * L) - mean[n];
        sums[n] += centred * centred;
      }
    }
    for (int n = 0; n < N; n++) store<L>(s.inverse + (first + n) * L, sums[n] * share);
  });
  finish_statistics<L>(shape, s);
}

// A norm is x * factor + offset for each channel.
template <int L, int N>
struct Affine {
  Vec<L> factor[N], offset[N];
  JAXODE_INLINE Affine(Statistics s, const float* scale, const float* bias, int channel) {
    for (int n = 0; n < N; n++) {
      const int c = channel + n * L;
      factor[n] = load<L>(s.inverse + c) * load<L>(scale + c);
      offset[n] = load<L>(bias + c) - load<L>(s.mean + c) * factor[n];
    }
  }
};

// norm(x), or relu(norm(x)) as the inside of a padded map of so many pixels a row; x and out may be the same map.
template <int L, bool Relu>
void apply_norm(const float* x, const MapShape& shape, Statistics s, const float* scale, const float* bias, float* out,
                size_t in_row, size_t out_row) {
  in_blocks<kChannels>(0, shape.channels / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    const Affine<L, N> affine(s, scale, bias, first * L);
    for (int y = 0; y < shape.height; y++) {
      const float* from = x + y * in_row + first * L;
      float* to = out + y * out_row + first * L;
      for (int p = 0; p < shape.width; p++, from += shape.channels, to += shape.channels) {
        for (int n = 0; n < N; n++) {
          Vec<L> value = load<L>(from + n * L) * affine.factor[n] + affine.offset[n];
          store<L>(to + n * L, Relu ? relu<L>(value) : value);
        }
      }
    }
  });
}

// The gradient of relu(norm(x)) or norm(x). With u the normalised map and g = slope * scale, slope being dy where the
// ReLU is open: dx = (g - mean(g) - u mean(g u)) / standard deviation. Adds to dscale and dbias; dy has rows of
// `dy_row` floats and may be dx; `more`, if any, is added to dx.
template <int L, bool Relu>
void norm_gradient(const float* x, const MapShape& shape, Statistics s, const float* scale, const float* bias,
                   const float* dy, size_t dy_row, float* dscale, float* dbias, float* dx, const float* more,
                   float* room) {
  const int channels = shape.channels, width = shape.width;
  const Vec<L> share = splat<L>(1.0f / shape.pixels());
  float *mean_g = room, *mean_gu = room + channels;
  in_blocks<kChannels>(0, channels / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    const Affine<L, N> affine(s, scale, bias, first * L);
    Vec<L> mean[N], sum[N] = {}, sum_x[N] = {};
    for (int n = 0; n < N; n++) mean[n] = load<L>(s.mean + (first + n) * L);
    for (int y = 0; y < shape.height; y++) {
      const float* from = dy + y * dy_row + first * L;
      size_t at = (size_t)y * width * channels + first * L;
      for (int p = 0; p < width; p++, from += channels, at += channels) {
        for (int n = 0; n < N; n++) {
          Vec<L> value = load<L>(x + at + n * L), slope = load<L>(from + n * L);
          if constexpr (Relu) slope = value * affine.factor[n] + affine.offset[n] > Vec<L>{} ? slope : Vec<L>{};
          if constexpr (Relu) store<L>(dx + at + n * L, slope);
          sum[n] += slope;
          sum_x[n] += slope * (value - mean[n]);
        }
      }
    }
    for (int n = 0; n < N; n++) {
      const int c = (first + n) * L;
      Vec<L> to_scale = sum_x[n] * load<L>(s.inverse + c), weight = load<L>(scale + c) * share;
      store<L>(dscale + c, load<L>(dscale + c) + to_scale);
      store<L>(dbias + c, load<L>(dbias + c) + sum[n]);
      store<L>(mean_g + c, sum[n] * weight);
      store<L>(mean_gu + c, to_scale * weight);
    }
  });
  average_groups(mean_g, shape);
  average_groups(mean_gu, shape);
  const size_t row = (size_t)width * channels;
  const float* slopes = Relu ? dx : dy;
  const size_t slope_row = Relu ? row : dy_row;
  in_blocks<kChannels>(0, channels / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    Vec<L> mean[N], factor[N], pull[N], offset[N];
    for (int n = 0; n < N; n++) {
      const int c = (first + n) * L;
      Vec<L> inverse = load<L>(s.inverse + c);
      mean[n] = load<L>(s.mean + c);
      factor[n] = inverse * load<L>(scale + c);
      pull[n] = inverse * inverse * load<L>(mean_gu + c);
      offset[n] = inverse * load<L>(mean_g + c);
    }
    for (int y = 0; y < shape.height; y++) {
      const float* from = slopes + y * slope_row + first * L;
      size_t at = y * row + first * L;
      for (int p = 0; p < width; p++, from += channels, at += channels) {
        for (int n = 0; n < N; n++) {
          Vec<L> centred = load<L>(x + at + n * L) - mean[n];
          Vec<L> value = load<L>(from + n * L) * factor[n] - (centred * pull[n] + offset[n]);
          if (more != nullptr) value += load<L>(more + at + n * L);
          store<L>(dx + at + n * L, value);
        }
      }
    }
  });
}

}  // namespace jaxode
