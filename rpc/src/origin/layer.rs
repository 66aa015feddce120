//! The check itself, in front of the RPC server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::{Layer, Service};

use super::AllowedOrigins;

/// Puts [`OriginFilter`] in front of a service.
#[derive(Clone, Debug)]
pub(crate) struct OriginLayer(pub(crate) Arc<AllowedOrigins>);

impl<S> Layer<S> for OriginLayer {
    type Service = OriginFilter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OriginFilter { inner, allowed: self.0.clone() }
    }
}

/// Refuses requests of foreign pages, and tells browsers that the others may read the answer.
#[derive(Clone, Debug)]
pub(crate) struct OriginFilter<S> {
    inner: S,
    allowed: Arc<AllowedOrigins>,
}

impl<S> Service<HttpRequest> for OriginFilter<S>
where
    S: Service<HttpRequest, Response = HttpResponse>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let Some(origin) = request.headers().get("origin").cloned() else {
            let answer = self.inner.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        };
        // A value that is not text is no origin that any pattern could name.
        if !origin.to_str().is_ok_and(|origin| self.allowed.permits(origin)) {
            return Box::pin(async { refusal() });
        }
        let answer = (request.method() != "OPTIONS").then(|| self.inner.call(request));
        Box::pin(async move {
            let mut response = match answer {
                Some(answer) => answer.await.map_err(Into::into)?,
                None => preflight_answer()?,
            };
            let headers = response.headers_mut();
            headers.insert("access-control-allow-origin", origin);
            // Caches must not hand this answer to another page.
            headers.append("vary", "origin".parse()?);
            Ok(response)
        })
    }
}

/// Answer to a page that is not allowed.
fn refusal() -> Result<HttpResponse, BoxError> {
    let body = HttpBody::from("origin is not allowed\n");
    Ok(HttpResponse::builder().status(403).header("content-type", "text/plain").body(body)?)
}

/// Answer to a browser that asks what a page may send.
fn preflight_answer() -> Result<HttpResponse, BoxError> {
    Ok(HttpResponse::builder()
        .header("access-control-allow-methods", "POST")
        .header("access-control-allow-headers", "content-type")
        .body(HttpBody::empty())?)
}
