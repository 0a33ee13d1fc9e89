const POWERS = Array.from({ length: 31 }, (_, exponent) => 2 ** (exponent - 25));

// A number of 16 bits: 1 for the sign, 5 for the exponent, 10 for the fraction.
export function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  // Without an exponent the numbers near zero are evenly spaced.
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * POWERS[exponent];
}
