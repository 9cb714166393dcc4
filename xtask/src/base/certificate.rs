//! What a certificate of Fulcio says about the job that asked for it.
//!
//! Nothing is verified here, cosign does that: what is read is what to ask cosign for, since its flags are exact.
//! Extensions: <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>; DER: ITU-T X.690; certificates: RFC 5280.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// 1.3.6.1.4.1.57264.1.6, the ref of the job: its text, not wrapped in DER.
const GITHUB_WORKFLOW_REF: [u8; 10] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x83, 0xBF, 0x30, 0x01, 0x06];

/// The tags of DER that are met on the way.
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const EXTENSIONS: u8 = 0xA3;

/// The branch or tag of the job that a certificate (DER) was made for.
pub fn git_ref(certificate: &[u8]) -> Option<String> {
    let value = extension(certificate, &GITHUB_WORKFLOW_REF)?;
    String::from_utf8(value.to_vec()).ok()
}

/// The first certificate of a text in PEM, as DER.
pub fn of_pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

/// The value of an extension.
fn extension<'a>(certificate: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, signed, _) = element(certificate)?;
    let (_, wrapped) = elements(signed).find(|(tag, _)| *tag == EXTENSIONS)?;
    let (_, list, _) = element(wrapped)?;
    elements(list).find_map(|(_, extension)| {
        let is_wanted = |(tag, content): (u8, &[u8])| tag == OBJECT_IDENTIFIER && content == wanted;
        let mut parts = elements(extension);
        parts.next().filter(|first| is_wanted(*first))?;
        parts.find(|(tag, _)| *tag == OCTET_STRING).map(|(_, content)| content)
    })
}

/// The elements that follow each other.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = element(bytes)?;
        bytes = rest;
        Some((tag, content))
    })
}

/// Tag, content and what follows. Lengths of up to four bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let mut out = vec![tag];
        out.extend(if length < 0x80 { vec![length] } else { vec![0x81, length] });
        out.extend(content);
        out
    }

    fn certificate(extensions: &[Vec<u8>]) -> Vec<u8> {
        let list = wrap(EXTENSIONS, &wrap(0x30, &extensions.concat()));
        let signed = wrap(0x30, &[wrap(0x02, &[1]), wrap(0x30, b"names"), list].concat());
        wrap(0x30, &[signed, wrap(0x03, b"signature")].concat())
    }

    fn own(id: &[u8], value: &[u8]) -> Vec<u8> {
        wrap(0x30, &[wrap(0x06, id), wrap(0x01, &[0]), wrap(0x04, value)].concat())
    }

    #[test]
    fn the_ref_of_a_job() {
        let other = [0x55, 0x1D, 0x11];
        let found =
            certificate(&[own(&other, b"refs/heads/no"), own(&GITHUB_WORKFLOW_REF, b"refs/heads/main")]);
        assert_eq!(git_ref(&found).as_deref(), Some("refs/heads/main"));
        let text =
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&found));
        assert_eq!(of_pem(&text), Some(found));
        assert_eq!(git_ref(&certificate(&[own(&other, b"x")])), None);
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_says_nothing() {
        let whole = certificate(&[own(&GITHUB_WORKFLOW_REF, b"refs/heads/main")]);
        for length in 0..whole.len() {
            assert_eq!(git_ref(whole.get(..length).unwrap()), None);
        }
        for spoilt in [&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0][..], &[0x30, 0x80, 0, 0], &[0x30, 0x89], &[]]
        {
            assert_eq!(git_ref(spoilt), None);
        }
    }
}
