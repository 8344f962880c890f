# Modules of inputs: those in Perl alone, and those compiled for one version.
perlAddPath() {
  local folder
  addToSearchPath PERL5LIB "$1/share/perl5"
  for folder in "$1"/lib/perl5/*/; do addToSearchPath PERL5LIB "${folder%/}"; done
}
addEnvHooks 0 perlAddPath
