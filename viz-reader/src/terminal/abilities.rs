//! What the terminal can show.

/// Colours it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Sixteen million.
    True,
    /// 256, of xterm's cube.
    Indexed,
    /// 16.
    Sixteen,
    /// None are wanted.
    None,
}

/// Characters it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyphs {
    /// Braille: 2 × 4 dots a cell.
    Braille,
    /// Half blocks, where fonts have no more, as on Linux's own console: 1 × 2 dots a cell.
    Blocks,
    /// ASCII.
    Ascii,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) depth: Depth,
    pub(super) glyphs: Glyphs,
}

impl Abilities {
    /// As the environment says; none where nothing can be drawn there.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let terminal = set("TERM").filter(|terminal| terminal != "dumb")?;
        let colours = set("COLORTERM").unwrap_or_default();
        let depth = if set("NO_COLOR").is_some() {
            Depth::None
        } else if colours == "truecolor" || colours == "24bit" || terminal.ends_with("-direct") {
            Depth::True
        } else if terminal.contains("256") {
            Depth::Indexed
        } else if terminal.starts_with("vt1") || terminal.starts_with("vt2") {
            Depth::None
        } else {
            Depth::Sixteen
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_uppercase();
        let glyphs = if !locale.contains("UTF-8") && !locale.contains("UTF8") {
            Glyphs::Ascii
        } else if terminal.starts_with("linux") {
            Glyphs::Blocks
        } else {
            Glyphs::Braille
        };
        Some(Self { depth, glyphs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Abilities> {
        let find = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        Abilities::of(find)
    }

    #[test]
    fn the_environment_says_what_can_be_drawn() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), None);
        let depth = |more: &[(&str, &str)]| of(&[&[("TERM", "xterm-256color")], more].concat()).map(|a| a.depth);
        assert_eq!(depth(&[]), Some(Depth::Indexed));
        assert_eq!(depth(&[("COLORTERM", "truecolor")]), Some(Depth::True));
        assert_eq!(depth(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Some(Depth::None));
        assert_eq!(depth(&[("NO_COLOR", "")]), Some(Depth::Indexed));
        let linux = of(&[("TERM", "linux"), ("LC_ALL", ""), ("LANG", "de_DE.utf8")]);
        assert_eq!(linux, Some(Abilities { depth: Depth::Sixteen, glyphs: Glyphs::Blocks }));
        let plain = of(&[("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "C.UTF-8")]);
        assert_eq!(plain, Some(Abilities { depth: Depth::Sixteen, glyphs: Glyphs::Ascii }));
        assert_eq!(of(&[("TERM", "xterm"), ("LANG", "C.UTF-8")]).map(|a| a.glyphs), Some(Glyphs::Braille));
    }
}
