//! Keys for tests only: made for them, in no use anywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

/// PKCS #1, DER, 2048 bits.
pub const RSA_PRIVATE: &str = "\
    MIIEowIBAAKCAQEArGyoTTf2AOnNou5yVYpvOdDjI4hEXOszfCBqOKsun1dpSqGXi8oGW4yAnqTLdp1idMUG+ctOJp6kNrHqq3k6\
    TZODipd2nyYl8qDOU4cN6BGgCIZdCX9V8faOB+MBeVOdKPaOvZuOUgKYGE9eoQR7fmjSN6v8A5cNM1VscBQcvjRgZWTmH2o+5Q4M\
    ZVWXvU0QnyUZYPTPWJnoTmM0QVJCxD5Pp7VnlSpQQp9TfyVgc8Fgyv6YIFPzWY/q1CIljurXNCWI3vE4ELKQd8AyjBGe0A7PRWn+\
    PnCdHurHMHOnohikASTAg2V7CDdYcrdmMcbtqDmXv6Oei4Ynu/kiS3z0WwIDAQABAoIBAD1+PwPTGnQ27jTWj4Y8afCXs/o/Jgpx\
    g5oYQWnWezkuxolsWgzrzxqlYFWz9jBmbu+wOQ2rWULivzQWfdgL0yRJoNczr4WQ6GXAvfUCLI6Agq+no9S4SiGSShM7/ZGUpW8v\
    h7bNnJNZA39gByKr45MwtRBP0QBCxd1x8MuEEMAwfNKbqvU1EhmmvgkPguOxtts91RtVPdJMn4R72x3kczRPZOa4VYeF3hWVx/sN\
    //B3WxQAJgXDU0QXHbeauxs3E8mdMw4EbiUcI+IFGzQ+RNt1twuVw8+DylaJknR53LPCE6hurYs3c4PiO+zX92SVZQblfwZMhyGj\
    bVcpwFwuqMkCgYEA7cOVPqH6QD0wDXnsC1LkCN8Qv7pB+zDEojzMOi7bzHUGfWvtCn6bxdEDy6lewNQ4YMqclCpF+pwGOgEUM7Po\
    zLgGHBTp4mbv4Z9hwTsCoi+OkvCWeWvgHALj8G53m49ZXZ0B5az+Pn2Sj+pIs3D3tAlETAmgbzofKEP3dVSi3BcCgYEAuaYnb1B8\
    oYQecg7DEPx4Zuim8FO/xfRwCfVh1pOqtLts3QVSnkJGrDptw3mTSavgMHmHh1G0MO9IBRDHk3yXvnFg0R1Rx3IpML5mYYehls05\
    1iCdxOHnHBwrirY9W1fGMU0qGEt9JSG6vu0tcyTo1kaYnStVN3cNTjwjMkslAF0CgYA2wpL/B+NRJEaK9AevW/n1KRr8bXOA3OyM\
    yR/oTp6E6ncCL/c6MYrC9q6/G1UdaENL155UaaAQZhrxBQqYFdmKPN/7W726TSb2efTTwjmLDRTzNsIRWQ0WpnvFBkw54bwdWWn0\
    cfFkhxtYVgdEfMIwDupR8O2ocGR4q560wTd5JQKBgFJj3+px4O3ZcZ2S2ZVHRrP9GmFb+acDpVl2EjalkEPnThgEzba4mR7ES4RO\
    B0TRx4wb0z8Fzp9NAjxlRv04dSuqq5oClhGao5cjWNJ93APODpXuIbaHvwZlphlIaZCJMscchMsFbYO2JWeoYNxSDBdUe1R9L7OO\
    3VPUMpaWbNRtAoGBANcfeqeIDcFvAEkACwFhKsZkLxrN7DhPRs9yuCN3dPA+abBzLSkYKOzBUsR2+zMVhIvKJA9fkK5tjrLN6CnV\
    2XcX6xJFynTbpvn3+HhbeWz6fy1P8nANlwqMezaOetLarT8qegh/4uyJlz6XxIsiw8HDdIW43FeLbK4u/aWaiBX1";

/// Its modulus.
pub const RSA_N: &str = "\
    rGyoTTf2AOnNou5yVYpvOdDjI4hEXOszfCBqOKsun1dpSqGXi8oGW4yAnqTLdp1idMUG-ctOJp6kNrHqq3k6TZODipd2nyYl8qDO\
    U4cN6BGgCIZdCX9V8faOB-MBeVOdKPaOvZuOUgKYGE9eoQR7fmjSN6v8A5cNM1VscBQcvjRgZWTmH2o-5Q4MZVWXvU0QnyUZYPTP\
    WJnoTmM0QVJCxD5Pp7VnlSpQQp9TfyVgc8Fgyv6YIFPzWY_q1CIljurXNCWI3vE4ELKQd8AyjBGe0A7PRWn-PnCdHurHMHOnohik\
    ASTAg2V7CDdYcrdmMcbtqDmXv6Oei4Ynu_kiS3z0Ww";

/// PKCS #8, DER, P-256.
pub const EC_PRIVATE: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOpl9/BMU7gmc14khJRvIud8qp13JEwC71nvPb6ogG4qhRANCAAQl\
    IHwBq9bE0SH71j4cgpSNo5iX0UYkW/Qc5CA/gGuZNHemZ80jeQxkTvqsY6aCLRE7lsrs54ZUo7ZFRU4mDz1I";

/// PKCS #8, DER, Ed25519.
pub const ED_PRIVATE: &str = "\
    MC4CAQAwBQYDK2VwBCIEIInKYYKCSOnrHVEk4c8H86afRtaLZkEQbXYfbsGVD0K+";

pub fn rsa_private() -> EncodingKey {
    EncodingKey::from_rsa_der(&STANDARD.decode(RSA_PRIVATE).unwrap())
}

pub fn ec_private() -> EncodingKey {
    EncodingKey::from_ec_der(&STANDARD.decode(EC_PRIVATE).unwrap())
}

pub fn ed_private() -> EncodingKey {
    EncodingKey::from_ed_der(&STANDARD.decode(ED_PRIVATE).unwrap())
}

pub fn rsa_public() -> Value {
    json!({ "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": RSA_N, "e": "AQAB" })
}

pub fn ec_public() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "e", "key_ops": ["verify"],
        "x": "JSB8AavWxNEh-9Y-HIKUjaOYl9FGJFv0HOQgP4BrmTQ",
        "y": "d6ZnzSN5DGRO-qxjpoItETuWyuznhlSjtkVFTiYPPUg",
    })
}

pub fn ed_public() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "adNUpc2qwb5McAeBe3PrM1RWhkBXthGCSbhd6gcmBvs" })
}

pub fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}
