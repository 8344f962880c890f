# makeWrapper EXECUTABLE OUTPUT OPTION… and wrapProgram PROGRAM OPTION…: scripts that set variables, then run a program.

assertExecutable() {
  if [[ ! -f "$1" || ! -x "$1" ]]; then
    echo "Cannot wrap '$1' because it is not an executable file" >&2
    exit 1
  fi
}

_wrapperPathLine() {
  # VARIABLE SEPARATOR VALUE prefix|suffix: VALUE once, whatever was there before.
  local variable=$1 text
  printf 'separator_=%q entry_=%q\n' "$2" "$3"
  # Separators on both sides make every entry look alike; quotes keep slashes and patterns in it literal.
  text='VAR=${VAR:+$separator_$VAR$separator_}'$'\n'
  text+='VAR=${VAR/"$separator_$entry_$separator_"/"$separator_"}'$'\n'
  if [[ "$4" == prefix ]]; then
    text+='VAR=$entry_$VAR'$'\n''VAR=${VAR%"$separator_"}'$'\n'
  else
    text+='VAR=$VAR$entry_'$'\n''VAR=${VAR#"$separator_"}'$'\n'
  fi
  printf '%sexport %s\n' "${text//VAR/$variable}" "$variable"
}

makeWrapper() { makeShellWrapper "$@"; }
makeShellWrapper() {
  local original=$1 wrapper=$2 argv0= resolve= flagsBefore= flagsAfter= word value
  shift 2
  assertExecutable "$original"
  mkdir -p "$(dirname "$wrapper")"
  local body=
  while (($#)); do
    case "$1" in
      --set)
        printf -v word 'export %s=%q\n' "$2" "$3"
        body+=$word
        shift 3
        ;;
      --set-default)
        printf -v word 'export %s=${%s-%q}\n' "$2" "$2" "$3"
        body+=$word
        shift 3
        ;;
      --unset)
        body+="unset $2"$'\n'
        shift 2
        ;;
      --chdir)
        printf -v word 'cd %q\n' "$2"
        body+=$word
        shift 2
        ;;
      --run)
        body+="$2"$'\n'
        shift 2
        ;;
      --prefix | --suffix)
        # A value may hold several entries; each is placed once, in order.
        local side=${1#--} variable=$2 separator=$3 entries=() index
        IFS=$separator read -r -d '' -a entries <<<"$4" || true
        entries=("${entries[@]%$'\n'}")
        if [[ $side == prefix ]]; then
          for ((index = ${#entries[@]} - 1; index >= 0; index--)); do
            if [[ -n "${entries[index]}" ]]; then body+="$(_wrapperPathLine "$variable" "$separator" "${entries[index]}" prefix)"$'\n'; fi
          done
        else
          for value in "${entries[@]}"; do
            if [[ -n "$value" ]]; then body+="$(_wrapperPathLine "$variable" "$separator" "$value" suffix)"$'\n'; fi
          done
        fi
        shift 4
        ;;
      --prefix-contents | --suffix-contents | --prefix-each | --suffix-each)
        local side=${1#--}
        side=${side%-*}
        local variable=$2 separator=$3
        for word in $4; do
          value=$word
          if [[ "$1" == *-contents ]]; then value=$(<"$word"); fi
          body+="$(_wrapperPathLine "$variable" "$separator" "$value" "$side")"$'\n'
        done
        shift 4
        ;;
      --add-flag)
        printf -v word '%q' "$2"
        flagsBefore+=" $word"
        shift 2
        ;;
      --add-flags)
        flagsBefore+=" $2"
        shift 2
        ;;
      --append-flag)
        printf -v word '%q' "$2"
        flagsAfter+=" $word"
        shift 2
        ;;
      --append-flags)
        flagsAfter+=" $2"
        shift 2
        ;;
      --argv0)
        argv0=$2
        shift 2
        ;;
      --inherit-argv0)
        argv0=
        shift
        ;;
      --resolve-argv0)
        # A program that looks for its files beside argv[0] is told its whole path.
        resolve=1
        shift
        ;;
      *)
        echo "makeWrapper doesn't understand the arg $1" >&2
        exit 1
        ;;
    esac
  done
  {
    printf '#! %s -e\n' "@shell@"
    printf '%s' "$body"
    if [[ -n "$argv0" ]]; then
      printf 'exec -a %q %q%s "$@"%s\n' "$argv0" "$original" "$flagsBefore" "$flagsAfter"
    elif [[ -n "$resolve" ]]; then
      printf 'case "$0" in */*) argv0_=$0 ;; *) argv0_=$(type -P "$0" || echo "$0") ;; esac\n'
      printf 'exec -a "$argv0_" %q%s "$@"%s\n' "$original" "$flagsBefore" "$flagsAfter"
    else
      printf 'exec -a "$0" %q%s "$@"%s\n' "$original" "$flagsBefore" "$flagsAfter"
    fi
  } >"$wrapper"
  chmod +x "$wrapper"
}
makeBinaryWrapper() { makeShellWrapper "$@"; }

wrapProgram() { wrapProgramShell "$@"; }
wrapProgramShell() {
  local program=$1 hidden
  assertExecutable "$program"
  hidden="$(dirname "$program")/.$(basename "$program")-wrapped"
  while [[ -e "$hidden" ]]; do hidden="${hidden}_"; done
  mv "$program" "$hidden"
  makeShellWrapper "$hidden" "$program" --inherit-argv0 "${@:2}"
}
wrapProgramBinary() { wrapProgramShell "$@"; }
