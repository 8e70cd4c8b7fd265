// Products of small matrices that lie in the cache.
#pragma once

#include "lanes.h"

namespace jaxode {

// Sums a register tile holds: Rows x Columns vectors, with a row of the second factor and one broadcast number.
constexpr int kRows = 6;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kColumns = 4;  // 24 sums of 32 registers
#else
constexpr int kColumns = 2;  // 12 sums of 16 registers
#endif

// A matrix seen through strides: element (row, k) is at data[row * by_row + k * by_depth].
struct Factor {
  const float* data;
  ptrdiff_t by_row, by_depth;
};

template <int L, int R, int N, bool Add>
JAXODE_INLINE void tile(Factor a, const float* b, size_t by_depth, float* c, size_t by_row, int depth) {
  Vec<L> sums[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) sums[r][n] = Add ? load<L>(c + r * by_row + n * L) : Vec<L>{};
  }
  for (int k = 0; k < depth; k++) {
    Vec<L> row[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) row[n] = load<L>(b + k * by_depth + n * L);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      Vec<L> factor = splat<L>(a.data[r * a.by_row + k * a.by_depth]);
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) sums[r][n] += factor * row[n];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) store<L>(c + r * by_row + n * L, sums[r][n]);
  }
}

template <int L, int N, bool Add>
JAXODE_INLINE void column_block(Factor a, const float* b, size_t by_depth, float* c, size_t by_row, int rows, int depth) {
  int r = 0;
  auto from = [&](int row) { return Factor{a.data + row * a.by_row, a.by_row, a.by_depth}; };
  for (; r + kRows <= rows; r += kRows) tile<L, kRows, N, Add>(from(r), b, by_depth, c + r * by_row, by_row, depth);
  switch (rows - r) {
    case 5: tile<L, 5, N, Add>(from(r), b, by_depth, c + r * by_row, by_row, depth); break;
    case 4: tile<L, 4, N, Add>(from(r), b, by_depth, c + r * by_row, by_row, depth); break;
    case 3: tile<L, 3, N, Add>(from(r), b, by_depth, c + r * by_row, by_row, depth); break;
    case 2: tile<L, 2, N, Add>(from(r), b, by_depth, c + r * by_row, by_row, depth); break;
    case 1: tile<L, 1, N, Add>(from(r), b, by_depth, c + r * by_row, by_row, depth); break;
    default: break;
  }
}

// How a matrix lies in memory: row by row, or each block of columns that a register tile reads by itself, one after
// another. Rows of a wide matrix lie so far apart that those of a block would evict each other from the cache, and no
// prefetcher follows them.
enum class Layout { rows, panels };

// c[rows][columns] = (or +=) a[rows][depth] b[depth][columns], the columns a multiple of L.
template <int L, bool Add, Layout of_b, Layout of_c>
void product(Factor a, const float* b, float* c, int rows, int columns, int depth) {
  in_blocks<kColumns>(0, columns / L, [&](auto count, int first) {
    constexpr int N = decltype(count)::value;
    constexpr bool b_panels = of_b == Layout::panels, c_panels = of_c == Layout::panels;
    const size_t at = (size_t)first * L;
    column_block<L, N, Add>(a, b + at * (b_panels ? depth : 1), b_panels ? N * L : columns,
                            c + at * (c_panels ? rows : 1), c_panels ? N * L : columns, rows, depth);
  });
}

}  // namespace jaxode
