//! One spelling for English words that Britain and America write differently: America's.

/// Beginnings of words, for their endings are the same.
const BEGINNINGS: [(&str, &str); 92] = [
    ("aeroplane", "airplane"),
    ("aluminium", "aluminum"),
    ("analys", "analyz"),
    ("apologis", "apologiz"),
    ("armour", "armor"),
    ("authoris", "authoriz"),
    ("behaviour", "behavior"),
    ("calibre", "caliber"),
    ("cancell", "cancel"),
    ("capitalis", "capitaliz"),
    ("catalogue", "catalog"),
    ("centimetre", "centimeter"),
    ("centre", "center"),
    ("characteris", "characteriz"),
    ("civilis", "civiliz"),
    ("clamour", "clamor"),
    ("colonis", "coloniz"),
    ("colour", "color"),
    ("counsell", "counsel"),
    ("criticis", "criticiz"),
    ("defence", "defense"),
    ("dialogue", "dialog"),
    ("discolour", "discolor"),
    ("dishonour", "dishonor"),
    ("economis", "economiz"),
    ("emphasis", "emphasiz"),
    ("endeavour", "endeavor"),
    ("familiaris", "familiariz"),
    ("favour", "favor"),
    ("fibre", "fiber"),
    ("flavour", "flavor"),
    ("generalis", "generaliz"),
    ("grey", "gray"),
    ("harbour", "harbor"),
    ("honour", "honor"),
    ("humour", "humor"),
    ("jewellery", "jewelry"),
    ("kilometre", "kilometer"),
    ("labell", "label"),
    ("labour", "labor"),
    ("litre", "liter"),
    ("manoeuvr", "maneuver"),
    ("marvell", "marvel"),
    ("maximis", "maximiz"),
    ("memoris", "memoriz"),
    ("metre", "meter"),
    ("millimetre", "millimeter"),
    ("minimis", "minimiz"),
    ("mobilis", "mobiliz"),
    ("modell", "model"),
    ("modernis", "moderniz"),
    ("mould", "mold"),
    ("moustache", "mustache"),
    ("neighbour", "neighbor"),
    ("normalis", "normaliz"),
    ("odour", "odor"),
    ("offence", "offense"),
    ("optimis", "optimiz"),
    ("organis", "organiz"),
    ("paralys", "paralyz"),
    ("parlour", "parlor"),
    ("plough", "plow"),
    ("practis", "practic"),
    ("pretence", "pretense"),
    ("programme", "program"),
    ("pyjama", "pajama"),
    ("quarrell", "quarrel"),
    ("rancour", "rancor"),
    ("realis", "realiz"),
    ("recognis", "recogniz"),
    ("rigour", "rigor"),
    ("rumour", "rumor"),
    ("sabre", "saber"),
    ("saviour", "savior"),
    ("savour", "savor"),
    ("sceptic", "skeptic"),
    ("sceptre", "scepter"),
    ("signall", "signal"),
    ("sombre", "somber"),
    ("specialis", "specializ"),
    ("spectre", "specter"),
    ("splendour", "splendor"),
    ("succour", "succor"),
    ("summaris", "summariz"),
    ("sympathis", "sympathiz"),
    ("theatre", "theater"),
    ("travell", "travel"),
    ("tumour", "tumor"),
    ("utilis", "utiliz"),
    ("valour", "valor"),
    ("vapour", "vapor"),
    ("vigour", "vigor"),
];

/// Whole words.
const WHOLE: [(&str, &str); 24] = [
    ("afterwards", "afterward"),
    ("ageing", "aging"),
    ("amongst", "among"),
    ("burnt", "burned"),
    ("cheque", "check"),
    ("cosy", "cozy"),
    ("dreamt", "dreamed"),
    ("enrol", "enroll"),
    ("fulfil", "fulfill"),
    ("judgement", "judgment"),
    ("kerb", "curb"),
    ("leapt", "leaped"),
    ("learnt", "learned"),
    ("licence", "license"),
    ("mum", "mom"),
    ("ok", "okay"),
    ("skilful", "skillful"),
    ("smelt", "smelled"),
    ("spelt", "spelled"),
    ("storey", "story"),
    ("towards", "toward"),
    ("tyre", "tire"),
    ("whilst", "while"),
    ("woollen", "woolen"),
];

/// Words that begin like one of [`BEGINNINGS`] and are the same everywhere.
const SAME: [&str; 10] = [
    "analysis",
    "emphasis",
    "greyhound",
    "greyhounds",
    "optimism",
    "optimist",
    "optimistic",
    "organism",
    "organisms",
    "realism",
];

/// The word as America spells it.
pub(super) fn american(word: &str) -> String {
    if SAME.contains(&word) || word.starts_with("realist") || word.starts_with("specialist") {
        return word.to_owned();
    }
    if let Some((_, other)) = WHOLE.iter().find(|(british, _)| *british == word) {
        return (*other).to_owned();
    }
    let begins = BEGINNINGS.iter().find_map(|(british, other)| Some((other, word.strip_prefix(british)?)));
    match begins {
        Some((other, ending)) => format!("{other}{ending}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_meet() {
        for (british, other) in [
            ("colour", "color"),
            ("neighbours", "neighbors"),
            ("travelling", "traveling"),
            ("recognised", "recognized"),
            ("organisation", "organization"),
            ("theatre", "theater"),
            ("towards", "toward"),
            ("analysed", "analyzed"),
            ("modelling", "modeling"),
        ] {
            assert_eq!(american(british), american(other), "{british}");
        }
    }

    #[test]
    fn words_that_only_look_alike_stay() {
        for word in ["analysis", "emphasis", "specialist", "optimism", "organism", "four", "hour", "metric", "model"] {
            assert_eq!(american(word), word);
        }
    }

    #[test]
    fn a_second_time_changes_nothing() {
        for (british, _) in BEGINNINGS.iter().chain(&WHOLE) {
            let once = american(british);
            assert_eq!(american(&once), once);
        }
    }
}
