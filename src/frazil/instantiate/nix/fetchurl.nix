# <nix/fetchurl.nix>: a derivation that downloads a file with the builtin builder, so that it needs nothing else.
#
# The attributes decide the derivation's hash; they are the same as everywhere else.
{
  url,
  name ? baseNameOf (toString url),
  executable ? false,
  unpack ? false,
  impure ? false,
  hash ? "",
  sha512 ? "",
  sha256 ? "",
  sha1 ? "",
  md5 ? "",
  system ? "", # no longer means anything
  # The first hash that is given counts, in this order; SHA-256 where none is.
  outputHash ? builtins.head (
    builtins.filter (digest: digest != "") [
      hash
      sha512
      sha1
      md5
    ]
    ++ [ sha256 ]
  ),
  outputHashAlgo ?
    (builtins.head (
      builtins.filter (candidate: candidate.digest != "") [
        {
          algorithm = "";
          digest = hash;
        }
        {
          algorithm = "sha512";
          digest = sha512;
        }
        {
          algorithm = "sha1";
          digest = sha1;
        }
        {
          algorithm = "md5";
          digest = md5;
        }
      ]
      ++ [ { algorithm = "sha256"; } ]
    )).algorithm,
}:
let
  expectation = if impure then { __impure = true; } else { inherit outputHash outputHashAlgo; };
in
derivation (
  expectation
  // {
    system = "builtin";
    builder = "builtin:fetchurl";
    inherit
      url
      name
      unpack
      executable
      ;
    urls = [ url ];
    outputHashMode = if executable || unpack then "recursive" else "flat";
    preferLocalBuild = true;
    # Of no effect; part of the hash.
    impureEnvVars = [
      "http_proxy"
      "https_proxy"
      "ftp_proxy"
      "all_proxy"
      "no_proxy"
    ];
  }
)
