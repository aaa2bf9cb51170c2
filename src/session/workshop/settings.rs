//! The compiler's settings, and whether all that was compiled with them runs on every processor of the architecture. Pure.

use std::mem::discriminant;

use crate::compiler::Setting;

/// What later cells are compiled with: the last one of each kind. What is not here is as at the start.
#[derive(Debug, Default)]
pub struct Settings {
    now: Vec<Setting>,
    /// Something that engines may still be given is for this host's processor alone.
    has_native: bool,
}

impl Settings {
    pub fn set(&mut self, setting: Setting) {
        self.has_native |= setting == Setting::NativeCpu(true);
        self.now
            .retain(|other| discriminant(other) != discriminant(&setting));
        self.now.push(setting);
    }

    pub fn now(&self) -> &[Setting] {
        &self.now
    }

    /// Whether there is, or will be, code for this host's processor alone: a definition stays what it was compiled as.
    pub fn has_native(&self) -> bool {
        self.has_native
    }

    /// What was compiled is not needed any more.
    pub fn forget_compiled(&mut self) {
        self.has_native = self.now.contains(&Setting::NativeCpu(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compiled_for_one_processor_stays_so_until_it_is_forgotten() {
        let mut settings = Settings::default();
        settings.set(Setting::NativeCpu(false));
        assert!(!settings.has_native());
        settings.set(Setting::NativeCpu(true));
        settings.forget_compiled();
        assert!(settings.has_native());
        settings.set(Setting::NativeCpu(false));
        assert_eq!(settings.now(), [Setting::NativeCpu(false)]);
        assert!(settings.has_native());
        settings.forget_compiled();
        assert!(!settings.has_native());
    }
}
