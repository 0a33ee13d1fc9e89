;; C = A B in WebAssembly, where an instruction computes with four numbers at a time. Places and steps
;; are in bytes. It takes $rows, a multiple of 4, and $columns, a multiple of 8, with sums of $length
;; products. Of four rows of C, $low0 to $low3 hold four columns, and $high0 to $high3 the next four.
(module
  (import "host" "memory" (memory 1))
  (func (export "multiply") (param $c i32) (param $a i32) (param $b i32)
      (param $rows i32) (param $columns i32) (param $length i32)
      (param $c_step i32) (param $a_step i32) (param $a_across i32) (param $b_step i32)
    (local $row i32) (local $column i32) (local $left i32) (local $at i32) (local $down i32)
    (local $x v128) (local $low v128) (local $high v128) (local $zero v128)
    (local $low0 v128) (local $low1 v128) (local $low2 v128) (local $low3 v128)
    (local $high0 v128) (local $high1 v128) (local $high2 v128) (local $high3 v128)
    (loop $columns_of_c
      (local.set $row (i32.const 0))
      (loop $rows_of_c
        (local.set $at (i32.add (local.get $a) (i32.mul (local.get $row) (local.get $a_step))))
        (local.set $down (i32.add (local.get $b) (i32.shl (local.get $column) (i32.const 2))))
        (local.set $low0 (local.get $zero)) (local.set $high0 (local.get $zero))
        (local.set $low1 (local.get $zero)) (local.set $high1 (local.get $zero))
        (local.set $low2 (local.get $zero)) (local.set $high2 (local.get $zero))
        (local.set $low3 (local.get $zero)) (local.set $high3 (local.get $zero))
        (local.set $left (local.get $length))
        (loop $sum
          (local.set $low (v128.load (local.get $down)))
          (local.set $high (v128.load offset=16 (local.get $down)))
          (local.set $x (v128.load32_splat (local.get $at)))
          (local.set $low0 (f32x4.add (local.get $low0) (f32x4.mul (local.get $x) (local.get $low))))
          (local.set $high0 (f32x4.add (local.get $high0) (f32x4.mul (local.get $x) (local.get $high))))
          (local.set $x (v128.load32_splat (i32.add (local.get $at) (local.get $a_step))))
          (local.set $low1 (f32x4.add (local.get $low1) (f32x4.mul (local.get $x) (local.get $low))))
          (local.set $high1 (f32x4.add (local.get $high1) (f32x4.mul (local.get $x) (local.get $high))))
          (local.set $x (v128.load32_splat
            (i32.add (local.get $at) (i32.mul (local.get $a_step) (i32.const 2)))))
          (local.set $low2 (f32x4.add (local.get $low2) (f32x4.mul (local.get $x) (local.get $low))))
          (local.set $high2 (f32x4.add (local.get $high2) (f32x4.mul (local.get $x) (local.get $high))))
          (local.set $x (v128.load32_splat
            (i32.add (local.get $at) (i32.mul (local.get $a_step) (i32.const 3)))))
          (local.set $low3 (f32x4.add (local.get $low3) (f32x4.mul (local.get $x) (local.get $low))))
          (local.set $high3 (f32x4.add (local.get $high3) (f32x4.mul (local.get $x) (local.get $high))))
          (local.set $at (i32.add (local.get $at) (local.get $a_across)))
          (local.set $down (i32.add (local.get $down) (local.get $b_step)))
          (br_if $sum (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (local.set $at (i32.add (local.get $c) (i32.add
          (i32.mul (local.get $row) (local.get $c_step)) (i32.shl (local.get $column) (i32.const 2)))))
        (v128.store (local.get $at) (local.get $low0))
        (v128.store offset=16 (local.get $at) (local.get $high0))
        (local.set $at (i32.add (local.get $at) (local.get $c_step)))
        (v128.store (local.get $at) (local.get $low1))
        (v128.store offset=16 (local.get $at) (local.get $high1))
        (local.set $at (i32.add (local.get $at) (local.get $c_step)))
        (v128.store (local.get $at) (local.get $low2))
        (v128.store offset=16 (local.get $at) (local.get $high2))
        (local.set $at (i32.add (local.get $at) (local.get $c_step)))
        (v128.store (local.get $at) (local.get $low3))
        (v128.store offset=16 (local.get $at) (local.get $high3))
        (br_if $rows_of_c
          (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 4))) (local.get $rows))))
      (br_if $columns_of_c (i32.lt_u
        (local.tee $column (i32.add (local.get $column) (i32.const 8))) (local.get $columns))))))
