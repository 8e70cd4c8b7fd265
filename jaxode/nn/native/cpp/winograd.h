// Winograd's convolution F(m x m, r x r): transforms of tiles of a channels-last map, in registers.
//
// With Y = A^T [(G g G^T) . (B^T d B)] A for a tile d and a kernel g (Lavin and Gray 2016, "Fast algorithms for
// convolutional neural networks", equation 8), the products over channels are n n matrix products, n = m + r - 1. Every
// transform has its transpose, which is what gradients need.
#pragma once

#include "lanes.h"
#include "product.h"

namespace jaxode {

// Transforms in one dimension. bt, at, g: of inputs, products and kernels; b, a, gt: their transposes.

// Two outputs of three taps, by the points 0, 1, -1 and infinity.
template <int L>
struct TwoOfThree {
  using V = Vec<L>;
  static constexpr int m = 2, r = 3, n = 4;
  static JAXODE_INLINE void bt(const V* d, V* v) {
    v[0] = d[0] - d[2], v[1] = d[1] + d[2], v[2] = d[2] - d[1], v[3] = d[1] - d[3];
  }
  static JAXODE_INLINE void b(const V* v, V* d) {
    d[0] = v[0], d[1] = v[1] - v[2] + v[3], d[2] = v[1] + v[2] - v[0], d[3] = -v[3];
  }
  static JAXODE_INLINE void at(const V* x, V* y) { y[0] = x[0] + (x[1] + x[2]), y[1] = (x[1] - x[2]) - x[3]; }
  static JAXODE_INLINE void a(const V* y, V* x) { x[0] = y[0], x[1] = y[0] + y[1], x[2] = y[0] - y[1], x[3] = -y[1]; }
  static JAXODE_INLINE void g(const V* w, V* u) {
    V half = splat<L>(0.5f), ends = w[0] + w[2];
    u[0] = w[0], u[1] = half * (ends + w[1]), u[2] = half * (ends - w[1]), u[3] = w[2];
  }
  static JAXODE_INLINE void gt(const V* u, V* w) {
    V half = splat<L>(0.5f), inner = half * (u[1] + u[2]);
    w[0] = u[0] + inner, w[1] = half * (u[1] - u[2]), w[2] = u[3] + inner;
  }
};

// Two outputs of two taps, by the points 0, 1 and infinity.
template <int L>
struct TwoOfTwo {
  using V = Vec<L>;
  static constexpr int m = 2, r = 2, n = 3;
  static JAXODE_INLINE void bt(const V* d, V* v) { v[0] = d[0] - d[1], v[1] = d[1], v[2] = d[1] - d[2]; }
  static JAXODE_INLINE void b(const V* v, V* d) { d[0] = v[0], d[1] = v[1] + v[2] - v[0], d[2] = -v[2]; }
  static JAXODE_INLINE void at(const V* x, V* y) { y[0] = x[0] + x[1], y[1] = x[1] - x[2]; }
  static JAXODE_INLINE void a(const V* y, V* x) { x[0] = y[0], x[1] = y[0] + y[1], x[2] = -y[1]; }
  static JAXODE_INLINE void g(const V* w, V* u) { u[0] = w[0], u[1] = w[0] + w[1], u[2] = w[1]; }
  static JAXODE_INLINE void gt(const V* u, V* w) { w[0] = u[0] + u[1], w[1] = u[1] + u[2]; }
};

// Three outputs of two taps, by the points 0, 1, -1 and infinity.
template <int L>
struct ThreeOfTwo {
  using V = Vec<L>;
  static constexpr int m = 3, r = 2, n = 4;
  static JAXODE_INLINE void bt(const V* d, V* v) { TwoOfThree<L>::bt(d, v); }
  static JAXODE_INLINE void b(const V* v, V* d) { TwoOfThree<L>::b(v, d); }
  static JAXODE_INLINE void at(const V* x, V* y) {
    V sum = x[1] + x[2];
    y[0] = x[0] + sum, y[1] = x[1] - x[2], y[2] = sum - x[3];
  }
  static JAXODE_INLINE void a(const V* y, V* x) {
    V ends = y[0] + y[2];
    x[0] = y[0], x[1] = ends + y[1], x[2] = ends - y[1], x[3] = -y[2];
  }
  static JAXODE_INLINE void g(const V* w, V* u) {
    V half = splat<L>(0.5f);
    u[0] = w[0], u[1] = half * (w[0] + w[1]), u[2] = half * (w[0] - w[1]), u[3] = w[1];
  }
  static JAXODE_INLINE void gt(const V* u, V* w) {
    V half = splat<L>(0.5f);
    w[0] = u[0] + half * (u[1] + u[2]), w[1] = half * (u[1] - u[2]) + u[3];
  }
};

// Where the r x r taps of one kernel lie among others: tap (i, j) of channel k begins at
// data[((first + i * step) * width + (start + j * step)) * inner + skip + k) * outer].
struct Taps {
  int width, inner, outer;               // taps a row, input channels (skipped ones too), output channels
  int row = 0, column = 0, step = 1;     // of the first tap, and to the next
  int skip = 0;                          // input channels in front that belong to no map
  size_t at(int i, int j, int channel) const {
    return ((size_t)((row + i * step) * width + column + j * step) * inner + skip + channel) * outer;
  }
};

// kernel -> u[n n][I][O] = G g G^T for each pair of channels, each of the n n matrices in panels.
template <template <int> class Scheme, int L>
void transform_kernel(const float* kernel, const Taps& taps, float* u) {
  using F = Scheme<L>;
  constexpr int n = F::n, r = F::r;
  const int inner = taps.inner - taps.skip, outer = taps.outer;
  const size_t plane = (size_t)inner * outer;
  in_blocks<kColumns>(0, outer / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    for (int k = 0; k < inner; k++) {
      float* panel = u + ((size_t)first * inner + k * N) * L;
      for (int b = 0; b < N; b++) {
        Vec<L> half[n][r], line[n];
        for (int j = 0; j < r; j++) {
          Vec<L> w[r];
          for (int i = 0; i < r; i++) w[i] = load<L>(kernel + taps.at(i, j, k) + (first + b) * L);
          F::g(w, line);
          for (int i = 0; i < n; i++) half[i][j] = line[i];
        }
        for (int i = 0; i < n; i++) {
          F::g(half[i], line);
          for (int j = 0; j < n; j++) store<L>(panel + (i * n + j) * plane + b * L, line[j]);
        }
      }
    }
  });
}

// Its transpose: du[n n][I][O], in panels likewise -> the taps' gradient, written.
template <template <int> class Scheme, int L>
void transform_kernel_transpose(const float* du, const Taps& taps, float* dkernel) {
  using F = Scheme<L>;
  constexpr int n = F::n, r = F::r;
  const int inner = taps.inner - taps.skip, outer = taps.outer;
  const size_t plane = (size_t)inner * outer;
  in_blocks<kColumns>(0, outer / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    for (int k = 0; k < inner; k++) {
      const float* panel = du + ((size_t)first * inner + k * N) * L;
      for (int b = 0; b < N; b++) {
        Vec<L> half[r][n], w[r];
        for (int j = 0; j < n; j++) {
          Vec<L> line[n];
          for (int i = 0; i < n; i++) line[i] = load<L>(panel + (i * n + j) * plane + b * L);
          F::gt(line, w);
          for (int i = 0; i < r; i++) half[i][j] = w[i];
        }
        for (int i = 0; i < r; i++) {
          F::gt(half[i], w);
          for (int j = 0; j < r; j++) store<L>(dkernel + taps.at(i, j, k) + (first + b) * L, w[j]);
        }
      }
    }
  });
}

// The tiles of an output map, and the padded input map that they read with a stride of `step` pixels.
template <template <int> class Scheme>
struct Tiling {
  static constexpr int m = Scheme<4>::m, n = Scheme<4>::n, nn = n * n;
  int height, width;              // of the output map
  int in_height, in_width;        // of the input map
  int step;                       // between the pixels that a tile reads
  int rows, columns, tiles;       // of tiles
  int pad_height, pad_width;      // of the padded input map

  Tiling(int height, int width, int in_height, int in_width, int step = 1)
      : height(height), width(width), in_height(in_height), in_width(in_width), step(step),
        rows((height + m - 1) / m), columns((width + m - 1) / m), tiles(rows * columns),
        pad_height(larger((rows * m + Scheme<4>::r - 1) * step, in_height + 2)),
        pad_width(larger((columns * m + Scheme<4>::r - 1) * step, in_width + 2)) {}

  static int larger(int a, int b) { return a > b ? a : b; }
  size_t padded(int channels) const { return (size_t)pad_height * pad_width * channels; }
  size_t inside(int y, int x, int channels) const { return ((size_t)(y + 1) * pad_width + x + 1) * channels; }

  // B^T d B of one tile of a padded map, to element `tile` of each plane.
  template <int L>
  JAXODE_INLINE void input(const float* pad, int tile, int channels, float* v, size_t plane) const {
    using F = Scheme<L>;
    const float* d = corner(pad, tile, channels);
    const size_t down = (size_t)pad_width * step * channels, right = (size_t)step * channels;
    for (int q = 0; q < channels; q += L) {
      Vec<L> half[n][n], line[n], done[n];
#pragma GCC unroll 4
      for (int j = 0; j < n; j++) {
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) line[i] = load<L>(d + i * down + j * right + q);
        F::bt(line, done);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) half[i][j] = done[i];
      }
#pragma GCC unroll 4
      for (int i = 0; i < n; i++) {
        F::bt(half[i], done);
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) store<L>(v + (i * n + j) * plane + q, done[j]);
      }
    }
  }

  // Its transpose, added to the padded map.
  template <int L>
  JAXODE_INLINE void input_transpose(const float* v, size_t plane, int tile, int channels, float* pad) const {
    using F = Scheme<L>;
    float* d = const_cast<float*>(corner(pad, tile, channels));
    const size_t down = (size_t)pad_width * step * channels, right = (size_t)step * channels;
    for (int q = 0; q < channels; q += L) {
      Vec<L> half[n][n], line[n], done[n];
#pragma GCC unroll 4
      for (int i = 0; i < n; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) line[j] = load<L>(v + (i * n + j) * plane + q);
        F::b(line, half[i]);
      }
#pragma GCC unroll 4
      for (int j = 0; j < n; j++) {
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) line[i] = half[i][j];
        F::b(line, done);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) {
          float* at = d + i * down + j * right + q;
          store<L>(at, load<L>(at) + done[i]);
        }
      }
    }
  }

  // A^T x A of one tile, to an output map, plus a map or a vector of channels where one is given.
  enum class Plus { nothing, map, channels };
  template <int L, Plus plus>
  JAXODE_INLINE void output(const float* x, size_t plane, int tile, int channels, const float* more, float* y) const {
    using F = Scheme<L>;
    const int top = tile / columns * m, left = tile % columns * m;
    for (int q = 0; q < channels; q += L) {
      Vec<L> half[n][m], line[n], done[m];
#pragma GCC unroll 4
      for (int i = 0; i < n; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) line[j] = load<L>(x + (i * n + j) * plane + q);
        F::at(line, half[i]);
      }
#pragma GCC unroll 3
      for (int j = 0; j < m; j++) {
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) line[i] = half[i][j];
        F::at(line, done);
        if (left + j >= width) continue;
#pragma GCC unroll 3
        for (int i = 0; i < m; i++) {
          if (top + i >= height) continue;
          const size_t at = ((size_t)(top + i) * width + left + j) * channels + q;
          if constexpr (plus == Plus::map) done[i] += load<L>(more + at);
          if constexpr (plus == Plus::channels) done[i] += load<L>(more + q);
          store<L>(y + at, done[i]);
        }
      }
    }
  }

  // Its transpose: of an output map's gradient.
  template <int L>
  JAXODE_INLINE void output_transpose(const float* dy, int tile, int channels, float* x, size_t plane) const {
    using F = Scheme<L>;
    const int top = tile / columns * m, left = tile % columns * m;
    for (int q = 0; q < channels; q += L) {
      Vec<L> half[n][m], line[m], done[n];
#pragma GCC unroll 3
      for (int j = 0; j < m; j++) {
#pragma GCC unroll 3
        for (int i = 0; i < m; i++) {
          const bool there = top + i < height && left + j < width;
          line[i] = there ? load<L>(dy + ((size_t)(top + i) * width + left + j) * channels + q) : Vec<L>{};
        }
        F::a(line, done);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) half[i][j] = done[i];
      }
#pragma GCC unroll 4
      for (int i = 0; i < n; i++) {
        F::a(half[i], done);
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) store<L>(x + (i * n + j) * plane + q, done[j]);
      }
    }
  }

 private:
  const float* corner(const float* pad, int tile, int channels) const {
    return pad + ((size_t)(tile / columns) * m * pad_width + tile % columns * m) * step * channels;
  }
};

}  // namespace jaxode
