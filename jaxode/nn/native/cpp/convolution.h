// 3x3 convolutions of stride 1 and 4x4 ones of stride 2, padding 1, over the padded maps of a few images; gradients.
#pragma once

#include "arena.h"
#include "winograd.h"

namespace jaxode {

// Tiles worked through at a time, at most and at least: their transforms stay in the second-level cache beside the
// kernel's. That of many channels does not stay there anyway, and is read less often with more tiles at a time.
struct AtOnce {
  int most, least;
  explicit AtOnce(int channels) : most(channels > 96 ? 96 : 48), least(channels > 96 ? 72 : 36) {}
};

inline int smaller(int a, int b) { return a < b ? a : b; }

// Images at a time, such that small maps share their products.
inline int images_at_once(int tiles, int channels) { return (AtOnce(channels).least + tiles - 1) / tiles; }

// Tiles at a time: all in equal shares, each a whole number of register tiles.
inline int tiles_at_once(int total, int channels) {
  const int most = AtOnce(channels).most, shares = (total + most - 1) / most, each = (total + shares - 1) / shares;
  return (each + kRows - 1) / kRows * kRows;
}

// Floats between two planes: off a power of two, for sixteen planes are written side by side.
inline size_t plane_size(int tiles, int channels) { return (size_t)tiles * channels + 16; }

// A kernel of stride 2 is four of half the size, one for each parity of the rows and columns that it reads.
inline Taps phase_taps(int phase, int phases, int taps, int inner, int outer, int skip) {
  if (phases == 1) return {taps, inner, outer, 0, 0, 1, skip};
  return {taps, inner, outer, phase / 2, phase % 2, 2, skip};
}

// Maps or vectors of images that lie so many floats apart; null where there are none. One type for all callers, so that a
// convolution is compiled once.
template <class Float>
struct OfImages {
  Float* first = nullptr;
  size_t stride = 0;
  Float* operator()(int image) const { return first + image * stride; }
};

template <template <int> class Scheme>
struct Convolution {
  using Grid = Tiling<Scheme>;
  static constexpr int nn = Grid::nn;
  Grid grid;
  int inner, outer, phases, most;
  float *v, *x, *dv = nullptr;
  size_t in_plane, out_plane;

  Convolution(const Grid& grid, int inner, int outer, int images, Workspace& room, bool gradients)
      : grid(grid), inner(inner), outer(outer), phases(grid.step * grid.step), most(tiles_at_once(images * grid.tiles, inner)) {
    in_plane = plane_size(most, inner), out_plane = plane_size(most, outer);
    v = room.take(nn * in_plane);
    x = room.take(nn * out_plane);
    if (gradients) dv = room.take(nn * in_plane);
  }

  size_t transformed() const { return (size_t)phases * nn * inner * outer; }

  // For each of so many images: output map to(i) = convolution of padded map i with the transformed kernel u, plus
  // more(i). The pads lie one after another.
  template <int L, typename Grid::Plus plus>
  void forward(const float* pads, int images, const float* u, OfImages<const float> more, OfImages<float> to) const {
    const int total = images * grid.tiles;
    for (int first = 0; first < total; first += most) {
      const int many = smaller(most, total - first);
      for (int phase = 0; phase < phases; phase++) {
        gather<L>(pads, first, many, phase);
        for (int e = 0; e < nn; e++) {
          const Factor rows{v + e * in_plane, inner, 1};
          const float* by = u + (size_t)(phase * nn + e) * inner * outer;
          if (phase == 0) product<L, false, Layout::panels, Layout::rows>(rows, by, x + e * out_plane, many, outer, inner);
          else product<L, true, Layout::panels, Layout::rows>(rows, by, x + e * out_plane, many, outer, inner);
        }
      }
      for (int t = 0; t < many; t++) {
        const int image = (first + t) / grid.tiles, tile = (first + t) % grid.tiles;
        grid.template output<L, plus>(x + (size_t)t * outer, out_plane, tile, outer, more(image), to(image));
      }
    }
  }

  // Of the output maps' gradients from(i): adds to du, the transformed kernel's, and, unless `backs` is null, adds to
  // the padded maps there that of the padded inputs. `ut` is the kernel transformed with its channels exchanged,
  // [phases][n n][O][I].
  template <int L>
  void backward(const float* pads, int images, const float* ut, OfImages<const float> from, float* du, float* backs) const {
    const int total = images * grid.tiles;
    for (int first = 0; first < total; first += most) {
      const int many = smaller(most, total - first);
      for (int t = 0; t < many; t++) {
        const int image = (first + t) / grid.tiles, tile = (first + t) % grid.tiles;
        grid.template output_transpose<L>(from(image), tile, outer, x + (size_t)t * outer, out_plane);
      }
      for (int phase = 0; phase < phases; phase++) {
        gather<L>(pads, first, many, phase);
        for (int e = 0; e < nn; e++) {
          const Factor columns{v + e * in_plane, 1, inner}, rows{x + e * out_plane, outer, 1};
          const size_t at = (size_t)(phase * nn + e) * inner * outer;
          product<L, true, Layout::rows, Layout::panels>(columns, x + e * out_plane, du + at, inner, outer, many);
          if (backs != nullptr) product<L, false, Layout::panels, Layout::rows>(rows, ut + at, dv + e * in_plane, many, inner, outer);
        }
        if (backs == nullptr) continue;
        for (int t = 0; t < many; t++) {
          const int image = (first + t) / grid.tiles, tile = (first + t) % grid.tiles;
          grid.template input_transpose<L>(dv + (size_t)t * inner, in_plane, tile, inner, of_phase(backs, image, phase));
        }
      }
    }
  }

 private:
  template <class Float>
  Float* of_phase(Float* pads, int image, int phase) const {
    return pads + image * grid.padded(inner) + ((size_t)(phase / 2) * grid.pad_width + phase % 2) * inner;
  }
  template <int L>
  void gather(const float* pads, int first, int many, int phase) const {
    for (int t = 0; t < many; t++) {
      const int image = (first + t) / grid.tiles, tile = (first + t) % grid.tiles;
      grid.template input<L>(of_phase(pads, image, phase), tile, inner, v + (size_t)t * inner, in_plane);
    }
  }
};

// The kernel [taps][taps][skip + inner][outer] of a convolution, transformed phase by phase.
template <template <int> class Scheme, int L>
void transform_phases(const float* kernel, int phases, int taps, int inner, int outer, int skip, float* u) {
  for (int phase = 0; phase < phases; phase++) {
    transform_kernel<Scheme, L>(kernel, phase_taps(phase, phases, taps, skip + inner, outer, skip),
                                u + (size_t)phase * Tiling<Scheme>::nn * inner * outer);
  }
}

template <template <int> class Scheme, int L>
void transform_phases_transpose(const float* du, int phases, int taps, int inner, int outer, int skip, float* dkernel) {
  for (int phase = 0; phase < phases; phase++) {
    transform_kernel_transpose<Scheme, L>(du + (size_t)phase * Tiling<Scheme>::nn * inner * outer,
                                          phase_taps(phase, phases, taps, skip + inner, outer, skip), dkernel);
  }
}

// The map [H][W][C] as the inside of a padded one.
inline void copy_inside(const float* map, int height, int width, int channels, float* inside, size_t pad_row) {
  for (int y = 0; y < height; y++) {
    std::memcpy(inside + y * pad_row, map + (size_t)y * width * channels, (size_t)width * channels * sizeof(float));
  }
}

inline void copy_out(const float* inside, size_t pad_row, int height, int width, int channels, float* map) {
  for (int y = 0; y < height; y++) {
    std::memcpy(map + (size_t)y * width * channels, inside + y * pad_row, (size_t)width * channels * sizeof(float));
  }
}

// A convolution by itself, of images first, ..., last - 1.
template <template <int> class Scheme, int L>
void convolve(const Tiling<Scheme>& grid, int inner, int outer, const float* x, const float* u, float* y, int first, int last) {
  const int at_once = smaller(images_at_once(grid.tiles, inner), last - first);
  Workspace room;
  const Convolution<Scheme> convolution(grid, inner, outer, at_once, room, false);
  const size_t padded = grid.padded(inner), pad_row = (size_t)grid.pad_width * inner;
  const size_t in_size = (size_t)grid.in_height * grid.in_width * inner, out_size = (size_t)grid.height * grid.width * outer;
  float* pads = room.zeros(at_once * padded);
  for (int b = first; b < last; b += at_once) {
    const int many = smaller(at_once, last - b);
    for (int i = 0; i < many; i++) {
      copy_inside(x + (b + i) * in_size, grid.in_height, grid.in_width, inner,
                  pads + i * padded + grid.inside(0, 0, inner), pad_row);
    }
    convolution.template forward<L, Tiling<Scheme>::Plus::nothing>(pads, many, u, {}, {y + b * out_size, out_size});
  }
}

// Its gradients: adds to du; writes dx, unless that is null.
template <template <int> class Scheme, int L>
void convolve_backward(const Tiling<Scheme>& grid, int inner, int outer, const float* x, const float* ut, const float* dy,
                       float* dx, float* du, int first, int last) {
  const int at_once = smaller(images_at_once(grid.tiles, inner), last - first);
  Workspace room;
  const Convolution<Scheme> convolution(grid, inner, outer, at_once, room, true);
  const size_t padded = grid.padded(inner), pad_row = (size_t)grid.pad_width * inner;
  const size_t in_size = (size_t)grid.in_height * grid.in_width * inner, out_size = (size_t)grid.height * grid.width * outer;
  float *pads = room.zeros(at_once * padded), *backs = dx != nullptr ? room.take(at_once * padded) : nullptr;
  const size_t inside = grid.inside(0, 0, inner);
  for (int b = first; b < last; b += at_once) {
    const int many = smaller(at_once, last - b);
    for (int i = 0; i < many; i++) {
      copy_inside(x + (b + i) * in_size, grid.in_height, grid.in_width, inner, pads + i * padded + inside, pad_row);
    }
    if (backs != nullptr) std::memset(backs, 0, many * padded * sizeof(float));
    convolution.template backward<L>(pads, many, ut, {dy + b * out_size, out_size}, du, backs);
    for (int i = 0; i < many && dx != nullptr; i++) {
      copy_out(backs + i * padded + inside, pad_row, grid.in_height, grid.in_width, inner, dx + (b + i) * in_size);
    }
  }
}

}  // namespace jaxode
