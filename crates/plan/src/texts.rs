//! Texts of a plan's own for its notices: files beside it, read when the plan is read, so that what was armed is what is told.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{
    Loaded,
    catalogue::Catalogue,
    decode::below,
    diagnostic::Diagnostic,
    notify::{Notify, TEXTS},
    remark::remark,
};

/// What stands before the path of a file.
const FILE: &str = "file:";

impl Loaded {
    /// Puts the texts of the files in the place of their names. `read` answers what a file holds, or why it cannot be read;
    /// paths are as the plan writes them.
    ///
    /// # Errors
    /// Each text that cannot be read, or that cannot be rendered with what there is to tell, at its place in the plan.
    pub fn with_texts(
        mut self,
        file_name: &str,
        catalogue: &Catalogue,
        mut read: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let mut notify = Notify::clone(&self.plan.notify);
        let mut hash = Sha256::new_with_prefix(&self.sha256);
        for (kind, texts) in &mut notify.texts {
            for (channel, text) in texts {
                let Some(path) = text.strip_prefix(FILE) else { continue };
                let found = read(path).map_err(|why| {
                    (format!("the text {path} cannot be read: {why}"), "a path is from the plan's folder")
                });
                let found = found.and_then(|found| match (catalogue.check_text)(*kind, channel, &found) {
                    Ok(()) => Ok(found),
                    Err(why) => Err((
                        format!("the text {path} cannot be told: {why}"),
                        "`belay notify PLAN --preview` prints all texts",
                    )),
                });
                match found {
                    Ok(found) => {
                        hash.update(&found);
                        *text = found;
                    }
                    Err((why, help)) => {
                        let pointer = below(&below(&below("/notify", TEXTS), kind.as_str()), channel);
                        errors.extend(remark(file_name, &self.text, &pointer, &why, help));
                    }
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if notify != *self.plan.notify {
            self.plan.notify = Arc::new(notify);
            self.sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        }
        Ok(self)
    }
}
