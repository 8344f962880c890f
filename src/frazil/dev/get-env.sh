# Runs in place of a derivation's builder: sets up the build environment as the builder would, then writes every bash
# variable and function as JSON to the outputs. Only bash itself may be used: no other program need be on the path.
set -e
[ ! -e "${NIX_ATTRS_SH_FILE-}" ] || source "$NIX_ATTRS_SH_FILE"

export IN_NIX_SHELL=impure
export dontAddDisableDepTrack=1

[ -z "${stdenv-}" ] || source "$stdenv/setup"

# Taken before this script defines anything of its own.
frazilEnvVariables=$(declare -p)
frazilEnvFunctions=$(declare -F)

frazilEnvQuote() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/\\n}
    text=${text//$'\r'/\\r}
    text=${text//$'\t'/\\t}
    # Other control characters are not allowed in JSON as they are.
    local code character escape
    if [[ $text == *[$'\x01'-$'\x1f']* ]]; then
        for code in {1..31}; do
            printf -v escape '\\x%02x' "$code"
            printf -v character "$escape"
            printf -v escape '\\u%04x' "$code"
            text=${text//"$character"/$escape}
        done
    fi
    printf '"%s"' "$text"
}

frazilEnvFunctionsAsJson() {
    local line name text separator=''
    while read -r line; do
        [[ $line =~ ^declare\ -f[a-z]*\ (.*) ]] || continue
        name=${BASH_REMATCH[1]}
        text=$(declare -f "$name")
        # The text between the outermost braces; what follows them (a redirection) belongs to the body's list too.
        [[ $text =~ ^[^{]*\{(.*)\}[^}]*$ ]] || continue
        printf '%s' "$separator"
        frazilEnvQuote "$name"
        printf ': '
        frazilEnvQuote "${BASH_REMATCH[1]}"
        separator=$',\n    '
    done <<<"$frazilEnvFunctions"
}

frazilEnvVariable() {
    local flags=$1 name=$2 separator='' item
    case $flags in
    *A*)
        local -n frazilEnvTable=$name
        printf '{"type": "associative", "value": {'
        for item in "${!frazilEnvTable[@]}"; do
            printf '%s' "$separator"
            frazilEnvQuote "$item"
            printf ': '
            frazilEnvQuote "${frazilEnvTable[$item]}"
            separator=', '
        done
        printf '}}'
        ;;
    *a*)
        local -n frazilEnvList=$name
        printf '{"type": "array", "value": ['
        for item in "${frazilEnvList[@]}"; do
            printf '%s' "$separator"
            frazilEnvQuote "$item"
            separator=', '
        done
        printf ']}'
        ;;
    *)
        if [[ $flags == *x* ]]; then printf '{"type": "exported", "value": '; else printf '{"type": "var", "value": '; fi
        frazilEnvQuote "${!name}"
        printf '}'
        ;;
    esac
}

frazilEnvVariablesAsJson() {
    local line flags name separator=''
    while read -r line; do
        [[ $line =~ ^declare\ -([^\ ]+)\ ([A-Za-z_][A-Za-z0-9_]*)(=|$) ]] || continue
        flags=${BASH_REMATCH[1]} name=${BASH_REMATCH[2]}
        # Name references and read-only variables cannot be set again in another shell.
        [[ $flags != *[nr]* ]] || continue
        case $name in
        BASH_* | COMP_* | frazilEnv* | _ | DIRSTACK | EUID | FUNCNAME | GROUPS | HISTCMD | HOSTNAME | PIPESTATUS | PWD | OLDPWD | \
            RANDOM | SHLVL | SECONDS | SRANDOM | EPOCHREALTIME | EPOCHSECONDS) continue ;;
        esac
        printf '%s' "$separator"
        frazilEnvQuote "$name"
        printf ': '
        frazilEnvVariable "$flags" "$name"
        separator=$',\n    '
    done <<<"$frazilEnvVariables"
}

frazilEnvAsJson() {
    printf '{\n  "bashFunctions": {\n    '
    frazilEnvFunctionsAsJson
    printf '\n  },\n  "variables": {\n    '
    frazilEnvVariablesAsJson
    printf '\n  }'
    if [ -e "${NIX_ATTRS_SH_FILE-}" ]; then
        printf ',\n  "structuredAttrs": {\n    ".attrs.sh": '
        frazilEnvQuote "$(<"$NIX_ATTRS_SH_FILE")"
        printf ',\n    ".attrs.json": '
        frazilEnvQuote "$(<"$NIX_ATTRS_JSON_FILE")"
        printf '\n  }'
    fi
    printf '\n}\n'
}

# With structured attributes `outputs` is a table from name to path, else a list of names.
frazilEnvPaths=()
if [ -e "${NIX_ATTRS_SH_FILE-}" ]; then
    frazilEnvPaths=("${outputs[@]}")
else
    for frazilEnvName in $outputs; do frazilEnvPaths+=("${!frazilEnvName}"); done
fi
for frazilEnvIndex in "${!frazilEnvPaths[@]}"; do
    if [ "$frazilEnvIndex" = 0 ]; then frazilEnvAsJson >"${frazilEnvPaths[0]}"; else : >"${frazilEnvPaths[$frazilEnvIndex]}"; fi
done
