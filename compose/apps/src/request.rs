//! What every HTTP service reads of a request and says of a refusal.

use axum::Json;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The longest operation id.
const OPERATION_ID: usize = 128;

/// An answer that says why not.
pub fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

/// The id that the caller gave, as it is.
pub fn operation_id(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let Some(value) = headers.get("X-Operation-Id") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(id) if (1..=OPERATION_ID).contains(&id.len()) => Ok(Some(id.to_owned())),
        _ => Err("x-operation-id wants 1 to 128 visible ASCII characters"),
    }
}

/// Methods are the caller's free choice, labels must not be.
pub fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_id_is_taken_as_it_is_or_refused() {
        let read = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-operation-id", axum::http::HeaderValue::from_bytes(value).unwrap());
            operation_id(&headers)
        };
        assert_eq!(operation_id(&HeaderMap::new()), Ok(None));
        assert_eq!(read(b"a b/c-1").unwrap().as_deref(), Some("a b/c-1"));
        assert!(read(&[b'x'; 128]).is_ok());
        assert!(read(&[b'x'; 129]).is_err());
        assert!(read(b"").is_err());
        assert!(read(&[0xff]).is_err());
    }
}
