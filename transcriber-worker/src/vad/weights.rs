//! The weights of the Silero network, read from its ONNX file.
//!
//! The file is one message in the wire format of Protocol Buffers (protobuf.dev, "Encoding"), its fields those of
//! `onnx.proto3`. What is read here is as much of it as the weights need; whatever the bytes are, it comes to an end.

/// Fields of `ModelProto`, `GraphProto` and `TensorProto`.
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
const DIMS: u64 = 1;
const DATA_TYPE: u64 = 2;
const NAME: u64 = 8;
const RAW_DATA: u64 = 9;
/// The data type of 32-bit floating point.
const FLOAT: u64 = 1;

/// The tensors of a model file.
pub(super) struct Weights<'a>(Vec<Tensor<'a>>);

#[derive(Default)]
struct Tensor<'a> {
    name: &'a [u8],
    shape: Vec<u64>,
    data_type: u64,
    /// The last index runs fastest; little-endian.
    values: &'a [u8],
}

impl<'a> Weights<'a> {
    /// Reads the content of an ONNX file.
    ///
    /// # Errors
    /// In words, when it is none.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, String> {
        tensors(file).map(Self).ok_or_else(|| "not a Silero model, or a damaged one".into())
    }

    /// The values of one tensor, the last index running fastest.
    ///
    /// # Errors
    /// In words, when there is none of this name, shape and type.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let refuse = |reason: String| format!("not a Silero model: {reason}");
        let tensor = self.0.iter().find(|tensor| tensor.name == name.as_bytes());
        let tensor = tensor.ok_or_else(|| refuse(format!("it has no {name:?}")))?;
        if !tensor.shape.iter().copied().eq(shape.iter().map(|&length| length as u64)) {
            return Err(refuse(format!("its {name:?} is {:?}, not {shape:?}", tensor.shape)));
        }
        let (values, rest) = tensor.values.as_chunks();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let is_whole = values.len() == shape.iter().product::<usize>() && rest.is_empty();
        if tensor.data_type != FLOAT || !is_whole || !values.iter().all(|value| value.is_finite()) {
            return Err(refuse(format!("its {name:?} is damaged")));
        }
        Ok(values)
    }
}

/// The tensors of a file; `None` where it is damaged.
fn tensors(mut file: &[u8]) -> Option<Vec<Tensor<'_>>> {
    let mut tensors = Vec::new();
    while !file.is_empty() {
        if let (GRAPH, Value::Bytes(mut graph)) = field(&mut file)? {
            while !graph.is_empty() {
                if let (INITIALIZER, Value::Bytes(message)) = field(&mut graph)? {
                    tensors.push(tensor(message)?);
                }
            }
        }
    }
    Some(tensors)
}

fn tensor(mut message: &[u8]) -> Option<Tensor<'_>> {
    let mut tensor = Tensor::default();
    while !message.is_empty() {
        match field(&mut message)? {
            (DIMS, Value::Number(length)) => tensor.shape.push(length),
            (DIMS, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    tensor.shape.push(varint(&mut packed)?);
                }
            }
            (DATA_TYPE, Value::Number(data_type)) => tensor.data_type = data_type,
            (NAME, Value::Bytes(name)) => tensor.name = name,
            (RAW_DATA, Value::Bytes(values)) => tensor.values = values,
            _ => {}
        }
    }
    Some(tensor)
}

/// What a field holds.
enum Value<'a> {
    Number(u64),
    /// A text, a message, or numbers one after another.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which nothing here needs.
    Fixed,
}

/// Takes the first field off a message: its number and value; `None` where it is damaged.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(message)?;
    let value = match key & 7 {
        0 => Value::Number(varint(message)?),
        1 => message.split_off(..8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(message)?).ok()?;
            Value::Bytes(message.split_off(..length)?)
        }
        5 => message.split_off(..4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

/// Takes a number off: seven bits a byte, the lowest first, the last byte without the eighth.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
