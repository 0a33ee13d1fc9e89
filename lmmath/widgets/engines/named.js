// Numbers by names, as the parameters of a model are.

export function mapped(named, change) {
  return Object.fromEntries(Object.entries(named).map(([name, value]) => [name, change(value, name)]));
}

export function copies(named) {
  return mapped(named, (values) => values.slice());
}

export function fill(named, values) {
  for (const name of Object.keys(named)) named[name].set(values[name]);
}

export function product(shape) {
  return shape.reduce((total, size) => total * size, 1);
}
