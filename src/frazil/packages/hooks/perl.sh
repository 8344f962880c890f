# Modules of inputs.
perlAddPath() {
  addToSearchPath PERL5LIB "$1/share/perl5"
  addToSearchPath PERL5LIB "$1/lib/perl5/site_perl"
}
addEnvHooks 0 perlAddPath
