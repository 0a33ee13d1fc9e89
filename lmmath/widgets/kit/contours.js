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
  const [low, high] = [heights[row], heights[row + 1]];
  const around = [low[column], low[column + 1], high[column + 1], high[column]];
  const isBelow = around.map((height) => height < level);
  if (isBelow.every((below) => below === isBelow[0])) return []; // as in most cells
  const [left, right] = [xs[column], xs[column + 1]];
  const [bottom, top] = [ys[row], ys[row + 1]];
  const corners = [[left, bottom], [right, bottom], [right, top], [left, top]];
  return corners.flatMap(([x, y], i) => {
    const next = (i + 1) % 4;
    if (isBelow[i] === isBelow[next]) return [];
    const share = (level - around[i]) / (around[next] - around[i]);
    return [[x + share * (corners[next][0] - x), y + share * (corners[next][1] - y)]];
  });
}
