/**
 * A certificate for `trow.test`, `localhost` and 127.0.0.1 that is valid for a hundred years, its
 * private key, and a key that belongs to no certificate. Made for these tests, used nowhere else.
 */

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBpzCCAUygAwIBAgIUfzEf27+0t5si8mLKMPAncL08abIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJdHJvdy50ZXN0MCAXDTI2MTEyMzIzMjUyMVoYDzIxMjYxMDMw
MjMyNTIxWjAUMRIwEAYDVQQDDAl0cm93LnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARRw+5oQ76/LUw106FGQf543eRH5aRRCkn1kFwEk7lHVS4eB3fW7dwv
bfIviJn2SzcIQucW0ALBMj1ofWnaGopHo3oweDAdBgNVHQ4EFgQUKRryCanDkW+C
JpYe41kl76b8S/0wHwYDVR0jBBgwFoAUKRryCanDkW+CJpYe41kl76b8S/0wDwYD
VR0TAQH/BAUwAwEB/zAlBgNVHREEHjAcggl0cm93LnRlc3SCCWxvY2FsaG9zdIcE
fwAAATAKBggqhkjOPQQDAgNJADBGAiEAqJiNrndRz6bObplLM5PXXqoP3vjc0QjC
HbTP9JGMjgACIQCK+oXxgqQYpRDedI/Ua4VjOlU6TYlfJIEyZbuEswApVA==
-----END CERTIFICATE-----
`

export const privateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoXsJv38rcC5HaU16
BZ9kmkJXfmQkRfTYZ9U87WOC7UOhRANCAARRw+5oQ76/LUw106FGQf543eRH5aRR
Ckn1kFwEk7lHVS4eB3fW7dwvbfIviJn2SzcIQucW0ALBMj1ofWnaGopH
-----END PRIVATE KEY-----
`

export const foreignKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIO/wkAKpRpy/2+Ze
nuOICNaRabOkMeq9IJ1UmymTlz+hRANCAARVAS8EQc+Nlq6+q0hOmcGY/TtTuXYH
/qq7mCiyobLLM4Humm3R1lyxHEqhQgyVqMV4Y5zmKceqR0KT8w2muJv6
-----END PRIVATE KEY-----
`
