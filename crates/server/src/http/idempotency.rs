/// Characters of a key.
pub(super) const KEY_CHARS_MAX: usize = 255;
