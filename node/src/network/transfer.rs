//! Framing of requests and responses on a stream: a length, then that many bytes.

use std::io;

use codec::Encode;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

use super::wire::{MAX_REQUEST_BYTES, Request, Response, WireError};

/// How much is allocated at once while a message arrives: memory follows what was sent, not what was promised.
const READ_STEP: usize = 64 << 10;

/// Reads and writes messages of bounded length.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Bytes of a response at most.
    pub max_response: usize,
}

impl Codec for Transfer {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_frame("request", MAX_REQUEST_BYTES, io).await?;
        Request::from_bytes(&bytes).map_err(invalid)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_frame("response", self.max_response, io).await?;
        Response::from_bytes(&bytes, self.max_response).map_err(invalid)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(&request.encode(), io).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(&response.encode(), io).await
    }
}

/// Malformed bytes: the only failure of a stream that is provably its sender's.
fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

async fn read_frame<T>(what: &'static str, limit: usize, io: &mut T) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    // At least 32 bits wherever this runs.
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(invalid(WireError::TooLong { what, got: length, limit }));
    }
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let start = bytes.len();
        bytes.resize(length.min(start + READ_STEP), 0);
        io.read_exact(&mut bytes[start..]).await?;
    }
    Ok(bytes)
}

async fn write_frame<T>(bytes: &[u8], io: &mut T) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await?;
    io.close().await
}

#[cfg(test)]
mod tests {
    use descent_runtime::H256;
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    #[test]
    fn frames_are_read_as_written() {
        let protocol = StreamProtocol::new("/descent/test");
        let mut transfer = Transfer { max_response: 1 << 20 };
        let mut wire = Vec::new();
        let request = Request::Body(H256::repeat_byte(7));
        block_on(transfer.write_request(&protocol, &mut wire, request.clone())).unwrap();
        assert_eq!(block_on(transfer.read_request(&protocol, &mut Cursor::new(&wire))).unwrap(), request);
        let mut wire = Vec::new();
        let response = Response::Witness(vec![3; 200_000]);
        block_on(transfer.write_response(&protocol, &mut wire, response.clone())).unwrap();
        assert_eq!(block_on(transfer.read_response(&protocol, &mut Cursor::new(&wire))).unwrap(), response);
        let cut = block_on(transfer.read_response(&protocol, &mut Cursor::new(&wire[..1000]))).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_a_byte_is_read() {
        let protocol = StreamProtocol::new("/descent/test");
        let mut transfer = Transfer { max_response: 100 };
        let mut wire = Cursor::new(101_u32.to_le_bytes());
        let error = block_on(transfer.read_response(&protocol, &mut wire)).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::InvalidData, "response has 101 bytes, expected at most 100")
        );
        // So is one of four gigabytes for a request.
        let mut wire = Cursor::new(u32::MAX.to_le_bytes());
        let error = block_on(transfer.read_request(&protocol, &mut wire)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
