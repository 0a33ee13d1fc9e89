// Lines of equal height. Each cell of the grid has at most two pieces, between the points of its
// sides at which the height is passed (marching squares).

// xs and ys of the pieces, for `line` of a plot: a NaN lifts the pen after each of them.
// `heights` has a row for each of `ys`, and in it a height for each of `xs`.
export function contour(xs, ys, heights, level) {
  const line = { xs: [], ys: [] };
  for (let row = 0; row + 1 < ys.length; row++) {
    for (let column = 0; column + 1 < xs.length; column++) {
      const points = crossings(xs, ys, heights, level, row, column);
      points.forEach(([x, y], i) => {
        line.xs.push(x, ...(i % 2 ? [NaN] : []));
        line.ys.push(y, ...(i % 2 ? [NaN] : []));
      });
    }
  }
  return line;
}

// Around the cell: none, two, or, at a saddle, four.
function crossings(xs, ys, heights, level, row, column) {
  const corners = [[0, 0], [0, 1], [1, 1], [1, 0]].map(([up, right]) => {
    const [r, c] = [row + up, column + right];
    return { x: xs[c], y: ys[r], height: heights[r][c] };
  });
  return corners.flatMap((from, i) => {
    const to = corners[(i + 1) % 4];
    if (from.height < level === to.height < level) return [];
    const share = (level - from.height) / (to.height - from.height);
    return [[from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)]];
  });
}
