use super::network::{HEARD_SAMPLES, Memory, Network};
use super::*;
use audio_dsp::{Signal, SignalSource};
use proptest::prelude::*;
use rten::{Model, NodeId};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

/// The model file. Tests that need it fail without it, loudly.
pub(crate) fn model() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = || variable("XDG_CACHE_HOME").unwrap_or_else(home).join("tympan/models");
    let path = variable("TYMPAN_MODELS").unwrap_or_else(cache).join("silero_vad_16k_op15.onnx");
    assert!(path.is_file(), "{} is missing: run scripts/fetch-model", path.display());
    path
}

fn content() -> Vec<u8> {
    std::fs::read(model()).expect("the model")
}

/// The same detector, its network run by a general runtime as the file says.
struct Reference {
    model: Model,
    inputs: [NodeId; 3],
    outputs: [NodeId; 2],
    state: NdTensor<f32, 3>,
    heard: Vec<f32>,
}

impl Reference {
    fn new() -> Self {
        let model = rten::ModelOptions::with_all_ops().load(content()).expect("a model");
        let node = |name| model.find_node(name).expect("a node");
        Self {
            inputs: ["input", "state", "sr"].map(node),
            outputs: ["output", "stateN"].map(node),
            model,
            state: NdTensor::zeros([2, 1, 128]),
            heard: vec![0.0; CONTEXT_SAMPLES],
        }
    }

    fn probability(&mut self, frame: &[f32; FRAME_SAMPLES]) -> f32 {
        self.heard.drain(..self.heard.len() - CONTEXT_SAMPLES);
        self.heard.extend_from_slice(frame);
        let [input, state, rate] = self.inputs;
        let inputs = vec![
            (input, NdTensorView::from_data([1, self.heard.len()], &self.heard[..]).into()),
            (state, self.state.view().into()),
            (rate, NdTensor::from(16_000_i32).into()),
        ];
        let [probability, state] = self.model.run_n(inputs, self.outputs, None).expect("an answer");
        self.state = state.try_into().expect("a state");
        self.state.slice_mut(1).apply(|cell| cell * CELLS_KEPT);
        let probability: NdTensor<f32, 2> = probability.try_into().expect("a number");
        probability[[0, 0]]
    }
}

/// The farthest that two ways to hear are apart, in all looks at some samples.
fn farthest(
    samples: &[f32],
    mut one: impl FnMut(&[f32; FRAME_SAMPLES]) -> f32,
    mut other: impl FnMut(&[f32; FRAME_SAMPLES]) -> f32,
) -> f32 {
    let frames = samples.as_chunks::<FRAME_SAMPLES>().0;
    assert!(frames.len() > 50, "only {} looks", frames.len());
    frames.iter().fold(0.0, |farthest, frame| {
        let (one, other) = (one(frame), other(frame));
        assert!((0.0..=1.0).contains(&one) && (0.0..=1.0).contains(&other), "{one} and {other}");
        farthest.max((one - other).abs())
    })
}

fn clips() -> Vec<(String, Vec<f32>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../speech");
    let files = std::fs::read_dir(folder).expect("the clips").map(|entry| entry.expect("a clip").path());
    let clips = files.filter(|path| path.extension().is_some_and(|extension| extension == "wav"));
    let clips: Vec<_> =
        clips.map(|path| (path.display().to_string(), crate::samples::read_wav(&path).expect("a clip"))).collect();
    assert_eq!(clips.len(), 6);
    clips
}

fn signal(signal: Signal) -> Vec<f32> {
    let mut samples = vec![0.0; 10 * 16_000];
    SignalSource::new(signal, 16_000).fill(&mut samples, 1);
    samples
}

#[test]
fn it_hears_what_the_file_says() {
    let mut sounds = clips();
    // Six clips without an end between: the state of hundreds of looks.
    sounds.push(("all".into(), sounds.iter().flat_map(|(_, samples)| samples.clone()).collect()));
    for sound in [Signal::Silence, Signal::Noise, Signal::Tone { hz: 440.0 }] {
        sounds.push((format!("{sound:?}"), signal(sound)));
    }
    let mut detector = Detector::load(&model()).expect("the model");
    for (name, samples) in sounds {
        let mut reference = Reference::new();
        detector.reset();
        let apart = farthest(&samples, |frame| detector.probability(frame), |frame| reference.probability(frame));
        eprintln!("{name}: {apart:e} apart");
        assert!(apart <= 1e-4, "{name}: {apart} apart");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn it_hears_the_same_in_wide_vectors_and_without() {
    let network = Network::parse(&content()).expect("the network");
    if super::wide::look(&network, &mut Memory::EMPTY.clone(), &[0.0; HEARD_SAMPLES]).is_none() {
        eprintln!("NOTE: no AVX2 here: the vectors are not tested");
        return;
    }
    for (name, samples) in clips() {
        let (mut wide, mut plain) = (Memory::EMPTY, Memory::EMPTY);
        let heard = |frame: &[f32; FRAME_SAMPLES]| {
            let mut heard = [0.0; HEARD_SAMPLES];
            heard[CONTEXT_SAMPLES..].copy_from_slice(frame);
            heard
        };
        let apart = farthest(
            &samples,
            |frame| super::wide::look(&network, &mut wide, &heard(frame)).expect("AVX2"),
            |frame| network.look_with::<false>(&mut plain, &heard(frame)),
        );
        eprintln!("{name}: {apart:e} apart");
        assert!(apart <= 1e-5, "{name}: {apart} apart");
        assert!(wide != plain, "these are two ways to add");
    }
}

#[test]
fn what_is_passed_over_is_context() {
    let (mut one, mut other) = {
        let detector = Detector::load(&model()).expect("the model");
        (detector.sibling(), detector)
    };
    let clip = &clips()[0].1;
    let frames = clip.as_chunks::<FRAME_SAMPLES>().0;
    one.pass_over(&frames[20]);
    other.pass_over(&[0.0; FRAME_SAMPLES]);
    assert_ne!(one.probability(&frames[21]), other.probability(&frames[21]));
}

#[test]
fn another_file_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = |content: &[u8]| {
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, content).expect("written");
        Detector::load(&path).err().map(|e| e.to_string()).expect("refused")
    };
    let missing = Detector::load(&folder.path().join("none")).err().map(|e| e.to_string()).expect("refused");
    assert!(missing.contains("No such file"), "{missing}");
    let whole = content();
    let renamed = replaced(&whole, b"model.encoder.2.reparam_conv.bias", b"model.encoder.7.reparam_conv.bias");
    // 128 and 129 in the shape of the first convolution's weights.
    let reshaped = replaced(&whole, &[8, 0x80, 1, 8, 0x81, 1, 8, 3], &[8, 0x81, 1, 8, 0x80, 1, 8, 3]);
    for (content, reason) in [
        (&b""[..], "it has no \"model.stft.forward_basis_buffer\""),
        (b"no model at all", "damaged"),
        (&whole[..whole.len() / 2], "damaged"),
        (&renamed, "it has no \"model.encoder.2.reparam_conv.bias\""),
        (&reshaped, "its \"model.encoder.0.reparam_conv.weight\" is [129, 128, 3], not [128, 129, 3]"),
    ] {
        let refused = refusal(content);
        assert!(refused.contains("not a Silero model") && refused.contains(reason), "{refused}");
        assert!(refused.contains("tympan model fetch"), "{refused}");
    }
}

/// A file with the last `from` replaced: the graph names its tensors before it holds them.
fn replaced(file: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let place = file.windows(from.len()).rposition(|window| window == from).expect("it is there");
    [&file[..place], to, &file[place + from.len()..]].concat()
}

proptest! {
    /// A damaged byte is refused or changes a value: it never panics, asks for memory without end, or is read for ever.
    #[test]
    fn a_damaged_file_comes_to_an_end(at in 0_usize..40_000, byte: u8, from_end: bool) {
        let mut file = content();
        let at = if from_end { file.len() - 1 - at } else { at };
        file[at] = byte;
        drop(Network::parse(&file));
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
        prop_assert!(Network::parse(&bytes).is_err());
    }
}
