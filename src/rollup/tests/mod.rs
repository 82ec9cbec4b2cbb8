//! The kernels against their definitions: hand-computed tables, and a naive twin over random products.

mod naive;
mod product;
mod properties;
mod tables;
