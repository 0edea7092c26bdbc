//! The machine against written dialogues, each also with the server's bytes cut into small
//! pieces.

mod breaking;
mod login;
mod rig;
mod sending;
mod streaming;
