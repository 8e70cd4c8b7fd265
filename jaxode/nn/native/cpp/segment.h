// The downsampling segment: conv 3x3 without padding of an image's few channels, norm, ReLU, conv 4x4 of stride 2, norm,
// ReLU, conv 4x4 of stride 2, each with a bias. Image by image: the widest map never leaves the second-level cache, and
// is computed anew for the gradient.
#pragma once

#include "arena.h"
#include "convolution.h"
#include "norm.h"
#include "sums.h"

namespace jaxode {

struct ImageShape {
  int height, width, channels;
  size_t size() const { return (size_t)height * width * channels; }
};

struct Segment {
  ImageShape image;
  int width, groups;  // channels of the maps
  float eps;
  const float *first, *first_shift, *first_scale, *first_bias;     // first: [3][3][I][C]
  const float *second, *second_shift, *second_scale, *second_bias;  // second and third: transformed
  const float *third, *third_shift;
  MapShape wide() const { return {image.height - 2, image.width - 2, width, groups, eps}; }
  MapShape middle() const { return {(wide().height - 2) / 2 + 1, (wide().width - 2) / 2 + 1, width, groups, eps}; }
  MapShape last() const { return {(middle().height - 2) / 2 + 1, (middle().width - 2) / 2 + 1, width, groups, eps}; }
};

struct SegmentSlopes {
  float *first, *first_shift, *first_scale, *first_bias;
  float *second, *second_shift, *second_scale, *second_bias;
  float *third, *third_shift;
};

// R pixels of a row of the first convolution, N vectors of channels.
template <int L, int R, int N>
JAXODE_INLINE void first_tile(const float* image, size_t image_row, int taps, int inner, const float* kernel, int width,
                              const float* shift, float* out) {
  Vec<L> sums[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) sums[r][n] = load<L>(shift + n * L);
  }
  for (int i = 0; i < 3; i++) {
    for (int k = 0; k < taps; k++) {
      Vec<L> weights[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) weights[n] = load<L>(kernel + (size_t)(i * taps + k) * width + n * L);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vec<L> pixel = splat<L>(image[i * image_row + r * inner + k]);
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) sums[r][n] += pixel * weights[n];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) store<L>(out + (size_t)r * width + n * L, sums[r][n]);
  }
}

template <int L>
void first_convolution(const Segment& s, const float* image, float* out) {
  const MapShape shape = s.wide();
  const int inner = s.image.channels, taps = 3 * inner;
  const size_t image_row = (size_t)s.image.width * inner;
  in_blocks<kColumns>(0, s.width / L, [&](auto count, int block) {
    constexpr int N = decltype(count)::value;
    const float *kernel = s.first + block * L, *shift = s.first_shift + block * L;
    for (int y = 0; y < shape.height; y++) {
      const float* from = image + y * image_row;
      float* to = out + (size_t)y * shape.width * s.width + block * L;
      int x = 0;
      for (; x + kRows <= shape.width; x += kRows)
        first_tile<L, kRows, N>(from + x * inner, image_row, taps, inner, kernel, s.width, shift, to + (size_t)x * s.width);
      for (; x < shape.width; x++)
        first_tile<L, 1, N>(from + x * inner, image_row, taps, inner, kernel, s.width, shift, to + (size_t)x * s.width);
    }
  });
}

// R taps of the first kernel's gradient, N vectors of channels, over all pixels; added.
template <int L, int R, int N>
JAXODE_INLINE void first_kernel_tile(const Segment& s, const float* image, const float* slope, int tap, float* dkernel) {
  const MapShape shape = s.wide();
  const int inner = s.image.channels, taps = 3 * inner;
  const size_t image_row = (size_t)s.image.width * inner;
  size_t offset[R];
  for (int r = 0; r < R; r++) offset[r] = (tap + r) / taps * image_row + (tap + r) % taps;
  Vec<L> sums[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) sums[r][n] = load<L>(dkernel + (size_t)(tap + r) * s.width + n * L);
  }
  for (int y = 0; y < shape.height; y++) {
    const float *from = slope + (size_t)y * shape.width * s.width, *pixels = image + y * image_row;
    for (int x = 0; x < shape.width; x++, from += s.width, pixels += inner) {
      Vec<L> slopes[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) slopes[n] = load<L>(from + n * L);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vec<L> pixel = splat<L>(pixels[offset[r]]);
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) sums[r][n] += pixel * slopes[n];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) store<L>(dkernel + (size_t)(tap + r) * s.width + n * L, sums[r][n]);
  }
}

template <int L>
void first_kernel_gradient(const Segment& s, const float* image, const float* slope, float* dkernel) {
  const int every = 9 * s.image.channels;
  in_blocks<kColumns>(0, s.width / L, [&](auto count, int block) {
    constexpr int N = decltype(count)::value;
    int tap = 0;
    for (; tap + 3 <= every; tap += 3)
      first_kernel_tile<L, 3, N>(s, image, slope + block * L, tap, dkernel + block * L);
  });
}

// The image's gradient: dimage = sum over taps of slope . kernel; written.
template <int L>
void first_image_gradient(const Segment& s, const float* slope, float* dimage) {
  const MapShape shape = s.wide();
  const int inner = s.image.channels;
  std::memset(dimage, 0, s.image.size() * sizeof(float));
  for (int y = 0; y < shape.height; y++) {
    for (int x = 0; x < shape.width; x++) {
      const float* from = slope + ((size_t)y * shape.width + x) * s.width;
      for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
          for (int c = 0; c < inner; c++) {
            dimage[((size_t)(y + i) * s.image.width + x + j) * inner + c] +=
                dot<L>(from, s.first + (size_t)((i * 3 + j) * inner + c) * s.width, s.width);
          }
        }
      }
    }
  }
}

// Images first, ..., last - 1. `middle`: where the second convolution's outputs go, or null.
template <template <int> class Second, template <int> class Third, int L>
void segment_forward(const Segment& s, const float* images, float* out, float* middle, int first, int last) {
  const MapShape wide = s.wide(), mid = s.middle(), end = s.last();
  const Tiling<Second> second_grid(mid.height, mid.width, wide.height, wide.width, 2);
  const Tiling<Third> third_grid(end.height, end.width, mid.height, mid.width, 2);
  const int C = s.width, at_once = smaller(images_at_once(third_grid.tiles, C), last - first);
  Workspace room;
  const int together = smaller(images_at_once(second_grid.tiles, C), at_once);
  const Convolution<Second> second(second_grid, C, C, together, room, false);
  const Convolution<Third> third(third_grid, C, C, at_once, room, false);
  const size_t third_padded = third_grid.padded(C), second_padded = second_grid.padded(C);
  float *map = room.take(wide.size()), *own = middle == nullptr ? room.take(together * mid.size()) : nullptr;
  float *wide_pads = room.zeros(together * second_padded), *pads = room.zeros(at_once * third_padded);
  const Statistics stats{room.take(C), room.take(C)};
  for (int b = first; b < last; b += at_once) {
    const int many = smaller(at_once, last - b);
    for (int from = 0; from < many; from += together) {
      const int few = smaller(together, many - from);
      for (int i = 0; i < few; i++) {
        first_convolution<L>(s, images + (b + from + i) * s.image.size(), map);
        statistics<L>(map, wide, stats);
        apply_norm<L, true>(map, wide, stats, s.first_scale, s.first_bias,
                            wide_pads + i * second_padded + second_grid.inside(0, 0, C), (size_t)wide.width * C,
                            (size_t)second_grid.pad_width * C);
      }
      float* y = own != nullptr ? own : middle + (b + from) * mid.size();
      const OfImages<float> to{y, mid.size()};
      second.template forward<L, Tiling<Second>::Plus::channels>(wide_pads, few, s.second, {s.second_shift, 0}, to);
      for (int i = 0; i < few; i++) {
        statistics<L>(y + i * mid.size(), mid, stats);
        apply_norm<L, true>(y + i * mid.size(), mid, stats, s.second_scale, s.second_bias,
                            pads + (from + i) * third_padded + third_grid.inside(0, 0, C), (size_t)mid.width * C,
                            (size_t)third_grid.pad_width * C);
      }
    }
    const OfImages<float> to{out + b * end.size(), end.size()};
    third.template forward<L, Tiling<Third>::Plus::channels>(pads, many, s.third, {s.third_shift, 0}, to);
  }
}

// The gradients of images first, ..., last - 1, added to `slopes`; that of the images, if asked for, written.
template <template <int> class Second, template <int> class Third, int L>
void segment_backward(const Segment& s, const float* images, const float* middle, const float* dout, float* dimages,
                      const SegmentSlopes& slopes, int first, int last) {
  const MapShape wide = s.wide(), mid = s.middle(), end = s.last();
  const Tiling<Second> second_grid(mid.height, mid.width, wide.height, wide.width, 2);
  const Tiling<Third> third_grid(end.height, end.width, mid.height, mid.width, 2);
  const int C = s.width, at_once = smaller(images_at_once(third_grid.tiles, C), last - first);
  Workspace room;
  const int together = smaller(images_at_once(second_grid.tiles, C), at_once);
  const Convolution<Second> second(second_grid, C, C, together, room, true);
  const Convolution<Third> third(third_grid, C, C, at_once, room, true);
  const size_t third_padded = third_grid.padded(C), second_padded = second_grid.padded(C);
  const size_t third_row = (size_t)third_grid.pad_width * C, second_row = (size_t)second_grid.pad_width * C;
  const size_t third_inside = third_grid.inside(0, 0, C), second_inside = second_grid.inside(0, 0, C);
  float *maps = room.take(together * wide.size()), *dmap = room.take(wide.size());
  float* dmiddle = room.take(together * mid.size());
  float *wide_pads = room.zeros(together * second_padded), *wide_backs = room.take(together * second_padded);
  float *pads = room.zeros(at_once * third_padded), *backs = room.take(at_once * third_padded);
  float* means = room.take(2 * C);
  const Statistics stats{room.take(C), room.take(C)};
  for (int b = first; b < last; b += at_once) {
    const int many = smaller(at_once, last - b);
    for (int i = 0; i < many; i++) {
      const float* y = middle + (b + i) * mid.size();
      statistics<L>(y, mid, stats);
      apply_norm<L, true>(y, mid, stats, s.second_scale, s.second_bias, pads + i * third_padded + third_inside,
                          (size_t)mid.width * C, third_row);
      add_pixels<L>(dout + (b + i) * end.size(), end, slopes.third_shift);
    }
    std::memset(backs, 0, many * third_padded * sizeof(float));
    third.template backward<L>(pads, many, s.third, {dout + b * end.size(), end.size()}, slopes.third, backs);
    for (int from = 0; from < many; from += together) {
      const int few = smaller(together, many - from);
      for (int i = 0; i < few; i++) {
        const int image = b + from + i;
        const float* y = middle + image * mid.size();
        float *map = maps + i * wide.size(), *slope = dmiddle + i * mid.size();
        statistics<L>(y, mid, stats);
        norm_gradient<L, true>(y, mid, stats, s.second_scale, s.second_bias,
                               backs + (from + i) * third_padded + third_inside, third_row, slopes.second_scale,
                               slopes.second_bias, slope, nullptr, means);
        add_pixels<L>(slope, mid, slopes.second_shift);
        first_convolution<L>(s, images + image * s.image.size(), map);
        statistics<L>(map, wide, stats);
        apply_norm<L, true>(map, wide, stats, s.first_scale, s.first_bias, wide_pads + i * second_padded + second_inside,
                            (size_t)wide.width * C, second_row);
      }
      std::memset(wide_backs, 0, few * second_padded * sizeof(float));
      second.template backward<L>(wide_pads, few, s.second, {dmiddle, mid.size()}, slopes.second, wide_backs);
      for (int i = 0; i < few; i++) {
        const int image = b + from + i;
        const float *map = maps + i * wide.size(), *pixels = images + image * s.image.size();
        statistics<L>(map, wide, stats);
        norm_gradient<L, true>(map, wide, stats, s.first_scale, s.first_bias,
                               wide_backs + i * second_padded + second_inside, second_row, slopes.first_scale,
                               slopes.first_bias, dmap, nullptr, means);
        add_pixels<L>(dmap, wide, slopes.first_shift);
        first_kernel_gradient<L>(s, pixels, dmap, slopes.first);
        if (dimages != nullptr) first_image_gradient<L>(s, dmap, dimages + image * s.image.size());
      }
    }
  }
}

}  // namespace jaxode
