//! The real engine and the real actuators against the strict stand-in, in virtual time.

mod restore_instance;
