// A chain of one or two pre-activation units (group norm, ReLU, 3x3 convolution) on maps of one width, then nothing, a
// group norm, or the sum with the chain's input: the field of an ODE block, and a residual block. Image by image, so
// that a map never leaves the cache between two layers.
#pragma once

#include "arena.h"
#include "convolution.h"
#include "norm.h"
#include "sums.h"

namespace jaxode {

constexpr int kUnits = 2;

enum class Tail { nothing = 0, norm = 1, residual = 2 };

// Parameters of the norms, and what was made of the kernels for this call.
struct Unit {
  const float *scale, *bias;  // of the norm
  const float* u;             // the transformed kernel; for gradients that with its channels exchanged
  const float* plane;         // [H][W][C], the convolution of a plane of ones with the taps of time; none: null
  const float* shift;         // [C], the convolution's bias, where there is a plane
};

struct Chain {
  MapShape shape;
  int units;
  Tail tail;
  Unit unit[kUnits];
  const float *tail_scale, *tail_bias;
  const float* times;         // one, or one for each image; null without planes
  bool own_times;
};

// Where the gradients of a chain's parameters are added up. Those of plane and bias are sums over the images of the
// convolution's output's gradient: `shift`, and `timed` of t times it where images have times of their own.
struct UnitSlopes {
  float *scale, *bias, *u, *shift, *timed;
};
struct ChainSlopes {
  UnitSlopes unit[kUnits];
  float *tail_scale, *tail_bias;
};

using FieldGrid = Tiling<TwoOfThree>;
using FieldConvolution = Convolution<TwoOfThree>;

// out[H][W][C] = t * plane + bias
template <int L>
void fill_shift(float t, const float* plane, const float* bias, const MapShape& shape, float* out) {
  const Vec<L> time = splat<L>(t);
  for (int p = 0; p < shape.pixels(); p++) {
    for (int c = 0; c < shape.channels; c += L) {
      const size_t at = (size_t)p * shape.channels + c;
      store<L>(out + at, time * load<L>(plane + at) + load<L>(bias + c));
    }
  }
}

// Images first, ..., last - 1. kept[k]: where unit k's output goes, or null; of the last unit it is `out` where no norm
// follows.
template <int L>
void chain_forward(const Chain& chain, const float* z, float* out, float* const* kept, int first, int last) {
  const MapShape& shape = chain.shape;
  const int channels = shape.channels;
  const size_t size = shape.size(), row = (size_t)shape.width * channels;
  const FieldGrid grid(shape.height, shape.width, shape.height, shape.width);
  const int at_once = smaller(images_at_once(grid.tiles, channels), last - first);
  Workspace room;
  const FieldConvolution convolution(grid, channels, channels, at_once, room, false);
  const size_t padded = grid.padded(channels), pad_row = (size_t)grid.pad_width * channels;
  float* pads = room.zeros(at_once * padded);
  float* maps[kUnits];
  for (int k = 0; k < chain.units; k++) maps[k] = room.take(at_once * size);
  Statistics s{room.take(channels), room.take(channels)};
  float* shift = chain.times != nullptr ? room.take((chain.own_times ? at_once : chain.units) * size) : nullptr;
  if (chain.times != nullptr && !chain.own_times) {
    for (int k = 0; k < chain.units; k++)
      fill_shift<L>(chain.times[0], chain.unit[k].plane, chain.unit[k].shift, shape, shift + k * size);
  }
  for (int b = first; b < last; b += at_once) {
    const int many = smaller(at_once, last - b);
    const float* from = z + b * size;
    for (int k = 0; k < chain.units; k++) {
      const Unit& unit = chain.unit[k];
      const bool ends = k == chain.units - 1 && chain.tail != Tail::norm;
      float* to = ends ? out + b * size : kept[k] != nullptr ? kept[k] + b * size : maps[k];
      for (int i = 0; i < many; i++) {
        statistics<L>(from + i * size, shape, s);
        apply_norm<L, true>(from + i * size, shape, s, unit.scale, unit.bias,
                            pads + i * padded + grid.inside(0, 0, channels), row, pad_row);
      }
      const OfImages<float> map{to, size};
      if (chain.times == nullptr) {
        convolution.template forward<L, FieldGrid::Plus::nothing>(pads, many, unit.u, {}, map);
      } else if (chain.own_times) {
        for (int i = 0; i < many; i++) fill_shift<L>(chain.times[b + i], unit.plane, unit.shift, shape, shift + i * size);
        convolution.template forward<L, FieldGrid::Plus::map>(pads, many, unit.u, {shift, size}, map);
      } else {
        convolution.template forward<L, FieldGrid::Plus::map>(pads, many, unit.u, {shift + k * size, 0}, map);
      }
      from = to;
    }
    for (int i = 0; i < many; i++) {
      if (chain.tail == Tail::norm) {
        statistics<L>(from + i * size, shape, s);
        apply_norm<L, false>(from + i * size, shape, s, chain.tail_scale, chain.tail_bias, out + (b + i) * size, row, row);
      }
      if (chain.tail == Tail::residual) add<L>(out + (b + i) * size, z + (b + i) * size, size);
    }
  }
}

// The gradients of images first, ..., last - 1: dz is written, those of the parameters are added to `slopes`, that of
// the time goes to dtimes where images have their own. kept[k] holds unit k's output, but for the last one's where no
// norm follows.
template <int L>
void chain_backward(const Chain& chain, const float* z, const float* const* kept, const float* dout, float* dz,
                    const ChainSlopes& slopes, float* dtimes, int first, int last) {
  const MapShape& shape = chain.shape;
  const int channels = shape.channels;
  const size_t size = shape.size(), row = (size_t)shape.width * channels;
  const FieldGrid grid(shape.height, shape.width, shape.height, shape.width);
  const int at_once = smaller(images_at_once(grid.tiles, channels), last - first);
  Workspace room;
  const FieldConvolution convolution(grid, channels, channels, at_once, room, true);
  const size_t padded = grid.padded(channels), pad_row = (size_t)grid.pad_width * channels;
  const size_t inside = grid.inside(0, 0, channels);
  float *pads = room.zeros(at_once * padded), *backs = room.take(at_once * padded);
  float* slope = room.take(at_once * size);  // of a convolution's output
  float* means = room.take(2 * channels);
  Statistics stats{room.take((size_t)at_once * channels), room.take((size_t)at_once * channels)};
  auto of_image = [&](int i) { return Statistics{stats.mean + i * channels, stats.inverse + i * channels}; };
  for (int b = first; b < last; b += at_once) {
    const int many = smaller(at_once, last - b);
    const float* from = dout + b * size;
    if (chain.tail == Tail::norm) {
      const float* y = kept[chain.units - 1] + b * size;
      for (int i = 0; i < many; i++) {
        statistics<L>(y + i * size, shape, of_image(i));
        norm_gradient<L, false>(y + i * size, shape, of_image(i), chain.tail_scale, chain.tail_bias, from + i * size, row,
                                slopes.tail_scale, slopes.tail_bias, slope + i * size, nullptr, means);
      }
      from = slope;
    }
    for (int k = chain.units - 1; k >= 0; k--) {
      const Unit& unit = chain.unit[k];
      const UnitSlopes& to = slopes.unit[k];
      const float* x = (k > 0 ? kept[k - 1] : z) + b * size;
      for (int i = 0; i < many; i++) {
        if (chain.times != nullptr) add<L>(to.shift, from + i * size, size);
        if (chain.own_times) {
          add_scaled<L>(to.timed, from + i * size, chain.times[b + i], size);
          dtimes[b + i] += dot<L>(from + i * size, unit.plane, size);
        }
        statistics<L>(x + i * size, shape, of_image(i));
        apply_norm<L, true>(x + i * size, shape, of_image(i), unit.scale, unit.bias, pads + i * padded + inside, row, pad_row);
      }
      std::memset(backs, 0, many * padded * sizeof(float));
      convolution.template backward<L>(pads, many, unit.u, {from, size}, to.u, backs);
      for (int i = 0; i < many; i++) {
        float* dx = k > 0 ? slope + i * size : dz + (b + i) * size;
        const float* more = k == 0 && chain.tail == Tail::residual ? dout + (b + i) * size : nullptr;
        norm_gradient<L, true>(x + i * size, shape, of_image(i), unit.scale, unit.bias, backs + i * padded + inside, pad_row,
                               to.scale, to.bias, dx, more, means);
      }
      from = slope;
    }
  }
}

}  // namespace jaxode
