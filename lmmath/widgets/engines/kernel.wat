;; Products of a quantized matrix with vectors: the one thing that plain JavaScript does too slowly.
;;
;; A matrix lies in memory as in its GGUF file, row after row, each row in blocks of 32 numbers:
;;   Q4_1: scale d and least value m (16 bits each), 16 bytes that hold the integers q from 0 to 15,
;;         the first 16 in the low halves of the bytes and the others in the high ones: w = d q + m
;;   Q8_0: scale d (16 bits), 32 bytes that hold the integers q from -128 to 127: w = d q
;; A vector x is rounded to integers of 16 bits, in groups of 32 with a scale s each: x = s k.
;; So the sum over a block is  d s (q . k) + m s sum(k),  and q . k is a product of integers.
(module
  (import "host" "memory" (memory 1))

  ;; Round n_groups * 32 numbers at $x. Writes the integers k to $k, and of each group the scale
  ;; s to $s and s sum(k) to $sums.
  (func (export "round") (param $x i32) (param $n_groups i32) (param $k i32) (param $s i32) (param $sums i32)
    (local $i i32) (local $largest v128) (local $sum v128) (local $size f32) (local $scale v128) (local $eight v128)
    (block $end (loop $group
      (br_if $end (i32.eqz (local.get $n_groups)))
      (local.set $largest (v128.const f32x4 0 0 0 0))
      (local.set $i (i32.const 0))
      (loop $four
        (local.set $largest (f32x4.max (local.get $largest)
          (f32x4.abs (v128.load (i32.add (local.get $x) (local.get $i))))))
        (br_if $four (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 16))) (i32.const 128))))
      (local.set $size (f32.max
        (f32.max (f32x4.extract_lane 0 (local.get $largest)) (f32x4.extract_lane 1 (local.get $largest)))
        (f32.max (f32x4.extract_lane 2 (local.get $largest)) (f32x4.extract_lane 3 (local.get $largest)))))
      (f32.store (local.get $s) (f32.div (local.get $size) (f32.const 32767)))
      ;; The integers of a group of zeros are 0, and those of a group so small that 32767 divided by its
      ;; largest number would be infinite.
      (local.set $scale (f32x4.splat (select
        (f32.div (f32.const 32767) (local.get $size)) (f32.const 0) (f32.gt (local.get $size) (f32.const 1e-34)))))
      (local.set $sum (v128.const i32x4 0 0 0 0))
      (local.set $i (i32.const 0))
      (loop $eights
        (local.set $eight (i16x8.narrow_i32x4_s
          (i32x4.trunc_sat_f32x4_s (f32x4.nearest (f32x4.mul (local.get $scale)
            (v128.load (i32.add (local.get $x) (local.get $i))))))
          (i32x4.trunc_sat_f32x4_s (f32x4.nearest (f32x4.mul (local.get $scale)
            (v128.load offset=16 (i32.add (local.get $x) (local.get $i))))))))
        (v128.store (local.get $k) (local.get $eight))
        (local.set $sum (i32x4.add (local.get $sum)
          (i32x4.dot_i16x8_s (local.get $eight) (v128.const i16x8 1 1 1 1 1 1 1 1))))
        (local.set $k (i32.add (local.get $k) (i32.const 16)))
        (br_if $eights (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 32))) (i32.const 128))))
      (f32.store (local.get $sums) (f32.mul
        (call $total (f32x4.convert_i32x4_s (local.get $sum)))
        (f32.load (local.get $s))))
      (local.set $x (i32.add (local.get $x) (i32.const 128)))
      (local.set $s (i32.add (local.get $s) (i32.const 4)))
      (local.set $sums (i32.add (local.get $sums) (i32.const 4)))
      (local.set $n_groups (i32.sub (local.get $n_groups) (i32.const 1)))
      (br $group))))

  ;; Multiply a Q4_1 matrix at $w with $n_vectors rounded vectors, one after the other at $k, $s and
  ;; $sums. Writes $n_rows numbers to $out for each. $half is a table: a number of 16 bits -> its value.
  (func (export "multiply_q4_1") (param $w i32) (param $n_rows i32) (param $n_blocks i32)
      (param $n_vectors i32) (param $k i32) (param $s i32) (param $sums i32) (param $half i32) (param $out i32)
    (local $row i32) (local $vector i32) (local $block i32) (local $at i32)
    (local $kk i32) (local $ss i32) (local $mm i32) (local $q v128) (local $low v128) (local $high v128)
    (local $sum v128) (local $rest f32)
    (local.set $row (i32.const 0))
    (loop $rows
      (local.set $kk (local.get $k))
      (local.set $ss (local.get $s))
      (local.set $mm (local.get $sums))
      (local.set $vector (i32.const 0))
      (loop $vectors
        (local.set $at (local.get $w))
        (local.set $sum (v128.const f32x4 0 0 0 0))
        (local.set $rest (f32.const 0))
        (local.set $block (local.get $n_blocks))
        (loop $blocks
          (local.set $q (v128.load offset=4 align=1 (local.get $at)))
          (local.set $low (v128.and (local.get $q) (v128.const i8x16 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15)))
          (local.set $high (i8x16.shr_u (local.get $q) (i32.const 4)))
          (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul
            (f32x4.convert_i32x4_s (i32x4.add
              (i32x4.add
                (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_u (local.get $low)) (v128.load (local.get $kk)))
                (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_u (local.get $low)) (v128.load offset=16 (local.get $kk))))
              (i32x4.add
                (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_u (local.get $high)) (v128.load offset=32 (local.get $kk)))
                (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_u (local.get $high)) (v128.load offset=48 (local.get $kk))))))
            (f32x4.splat (f32.mul (f32.load (local.get $ss)) (call $value (local.get $half) (local.get $at)))))))
          (local.set $rest (f32.add (local.get $rest) (f32.mul (f32.load (local.get $mm))
            (call $value (local.get $half) (i32.add (local.get $at) (i32.const 2))))))
          (local.set $at (i32.add (local.get $at) (i32.const 20)))
          (local.set $kk (i32.add (local.get $kk) (i32.const 64)))
          (local.set $ss (i32.add (local.get $ss) (i32.const 4)))
          (local.set $mm (i32.add (local.get $mm) (i32.const 4)))
          (br_if $blocks (local.tee $block (i32.sub (local.get $block) (i32.const 1)))))
        (f32.store
          (i32.add (local.get $out) (i32.shl
            (i32.add (i32.mul (local.get $vector) (local.get $n_rows)) (local.get $row)) (i32.const 2)))
          (f32.add (call $total (local.get $sum)) (local.get $rest)))
        (br_if $vectors (i32.lt_u
          (local.tee $vector (i32.add (local.get $vector) (i32.const 1))) (local.get $n_vectors))))
      (local.set $w (local.get $at))
      (br_if $rows (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $n_rows)))))

  ;; The same for a Q8_0 matrix, whose blocks have no least value.
  (func (export "multiply_q8_0") (param $w i32) (param $n_rows i32) (param $n_blocks i32)
      (param $n_vectors i32) (param $k i32) (param $s i32) (param $half i32) (param $out i32)
    (local $row i32) (local $vector i32) (local $block i32) (local $at i32)
    (local $kk i32) (local $ss i32) (local $first v128) (local $second v128) (local $sum v128)
    (local.set $row (i32.const 0))
    (loop $rows
      (local.set $kk (local.get $k))
      (local.set $ss (local.get $s))
      (local.set $vector (i32.const 0))
      (loop $vectors
        (local.set $at (local.get $w))
        (local.set $sum (v128.const f32x4 0 0 0 0))
        (local.set $block (local.get $n_blocks))
        (loop $blocks
          (local.set $first (v128.load offset=2 align=1 (local.get $at)))
          (local.set $second (v128.load offset=18 align=1 (local.get $at)))
          (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul
            (f32x4.convert_i32x4_s (i32x4.add
              (i32x4.add
                (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_s (local.get $first)) (v128.load (local.get $kk)))
                (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_s (local.get $first)) (v128.load offset=16 (local.get $kk))))
              (i32x4.add
                (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_s (local.get $second)) (v128.load offset=32 (local.get $kk)))
                (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_s (local.get $second)) (v128.load offset=48 (local.get $kk))))))
            (f32x4.splat (f32.mul (f32.load (local.get $ss)) (call $value (local.get $half) (local.get $at)))))))
          (local.set $at (i32.add (local.get $at) (i32.const 34)))
          (local.set $kk (i32.add (local.get $kk) (i32.const 64)))
          (local.set $ss (i32.add (local.get $ss) (i32.const 4)))
          (br_if $blocks (local.tee $block (i32.sub (local.get $block) (i32.const 1)))))
        (f32.store
          (i32.add (local.get $out) (i32.shl
            (i32.add (i32.mul (local.get $vector) (local.get $n_rows)) (local.get $row)) (i32.const 2)))
          (call $total (local.get $sum)))
        (br_if $vectors (i32.lt_u
          (local.tee $vector (i32.add (local.get $vector) (i32.const 1))) (local.get $n_vectors))))
      (local.set $w (local.get $at))
      (br_if $rows (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $n_rows)))))

  ;; The value of the 16-bit number at $at.
  (func $value (param $half i32) (param $at i32) (result f32)
    (f32.load (i32.add (local.get $half) (i32.shl (i32.load16_u align=1 (local.get $at)) (i32.const 2)))))

  ;; The sum of four numbers.
  (func $total (param $four v128) (result f32)
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $four)) (f32x4.extract_lane 1 (local.get $four)))
      (f32.add (f32x4.extract_lane 2 (local.get $four)) (f32x4.extract_lane 3 (local.get $four))))))
