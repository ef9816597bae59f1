//! A drill as it goes, and what is made of it whatever goes missing.

mod judged;
mod lines;
mod predicted;
mod records;
mod story;
