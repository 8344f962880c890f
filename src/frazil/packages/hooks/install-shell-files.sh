# installManPage, installShellCompletion, installBin.

installManPage() {
  local file name section options=1
  for file in "$@"; do
    if ((options)) && [[ "$file" == -- ]]; then
      options=0
      continue
    fi
    name=$(stripHash "$file")
    name=${name%.gz}
    section=${name##*.}
    if [[ ! "$section" =~ ^[0-9a-z]+$ || "$section" == "$name" ]]; then
      echo "installManPage: error: no section in the name of $file" >&2
      return 1
    fi
    install -Dm644 -- "$file" "${!outputMan}/share/man/man${section:0:1}/$(stripHash "$file")"
  done
}

installShellCompletion() {
  local shell= name= command= file directory target
  while (($#)); do
    case "$1" in
      --bash | --fish | --zsh | --nushell)
        shell=${1#--}
        shift
        continue
        ;;
      --name)
        name=$2
        shift 2
        continue
        ;;
      --name=*)
        name=${1#*=}
        shift
        continue
        ;;
      --cmd)
        command=$2
        shift 2
        continue
        ;;
      --cmd=*)
        command=${1#*=}
        shift
        continue
        ;;
      --)
        shift
        continue
        ;;
    esac
    file=$1
    shift
    local kind=$shell
    if [[ -z "$kind" ]]; then
      case "$file" in
        *.bash) kind=bash ;;
        *.fish) kind=fish ;;
        *.zsh) kind=zsh ;;
        *.nu) kind=nushell ;;
        *)
          echo "installShellCompletion: error: unknown shell for $file" >&2
          return 1
          ;;
      esac
    fi
    target=$name
    if [[ -z "$target" && -n "$command" ]]; then
      case "$kind" in
        bash) target=$command.bash ;;
        fish) target=$command.fish ;;
        zsh) target=_$command ;;
        nushell) target=$command.nu ;;
      esac
    fi
    if [[ -z "$target" ]]; then
      target=$(stripHash "$file")
      if [[ "$kind" == zsh && "$target" != _* ]]; then target=_${target%.zsh}; fi
    fi
    name=
    case "$kind" in
      bash) directory=share/bash-completion/completions ;;
      fish) directory=share/fish/vendor_completions.d ;;
      zsh) directory=share/zsh/site-functions ;;
      nushell) directory=share/nushell/vendor/autoload ;;
    esac
    mkdir -p "${!outputBin:-$out}/$directory"
    # Also from a named pipe, as in <(program completion bash).
    cat -- "$file" >"${!outputBin:-$out}/$directory/$target"
    chmod 644 "${!outputBin:-$out}/$directory/$target"
  done
}

installBin() {
  local file
  for file in "$@"; do install -Dm755 -- "$file" "${!outputBin:-$out}/bin/$(stripHash "$file")"; done
}
