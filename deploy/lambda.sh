#!/usr/bin/env bash
# Usage: deploy/lambda.sh --resonate-url URL --env-file deploy/function.env [--name NAME]
#                         [--packaging zip|layer] [--arch x86_64|arm64] [--worker-group worker] [--memory 512]
#                         [--token-file secrets/own/resonate_token_function] [--jwt-issuer https://… --jwt-audience a,b]
#                         [--subnets a,b --security-groups c] [--dry-run]
# Deploys the function and its HTTP API with the AWS CLI alone, without CloudFormation: role, function, layer, and the
# routes of the application's openapi.yaml. With an issuer and an audience, the routes ask for its tokens. Run again, it
# changes what is there. Each command is shown before it runs; --dry-run only shows them.
# The function's name and variables are in the file of --env-file, which you fill in from dist/deploy/function.env.
# The Resonate server and the workers run elsewhere (deploy/compose.prod.yaml); URL is where the function reaches them.
. "$(dirname "$0")/lib.sh"

name='' packaging=zip arch=x86_64 group=worker memory=512 token_file='' url='' env_file='' subnets='' groups='' issuer='' audience=''
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) DRY_RUN=1 && shift && continue ;;
        -h | --help) sed -n '2,10s/^# //p' "$0" && exit ;;
        --resonate-url | --env-file | --name | --packaging | --arch | --worker-group | --memory | --token-file | --subnets | --security-groups | --jwt-issuer | --jwt-audience)
            [ $# -ge 2 ] || fail "$1 needs a value."
            ;;
        *) fail "there is no option '$1'; see deploy/lambda.sh --help." ;;
    esac
    case $1 in
        --resonate-url) url=$2 ;;
        --env-file) env_file=$2 ;;
        --name) name=$2 ;;
        --packaging) packaging=$2 ;;
        --arch) arch=$2 ;;
        --worker-group) group=$2 ;;
        --memory) memory=$2 ;;
        --token-file) token_file=$2 ;;
        --jwt-issuer) issuer=$2 ;;
        --jwt-audience) audience=$2 ;;
        --subnets) subnets=$2 ;;
        --security-groups) groups=$2 ;;
    esac
    shift 2
done
case $url in
    http://* | https://*) ;;
    '') fail "where is the Resonate server? --resonate-url https://…" ;;
    *) fail "--resonate-url is '$url'; it begins with http:// or https://." ;;
esac
[ -n "$env_file" ] || fail "name the file with the function's variables: --env-file deploy/function.env (a copy of dist/deploy/function.env, filled in)"
[ -s "$env_file" ] || fail "--env-file $env_file cannot be read, or is empty; copy dist/deploy/function.env, which make package writes, and fill it in."
[ -z "$token_file" ] || [ -s "$token_file" ] || fail "--token-file $token_file cannot be read, or is empty."
[ -z "$subnets" ] || [ -n "$groups" ] || fail "--subnets needs --security-groups."
# They go into JSON as they are, so only plain characters are taken.
plain='[A-Za-z0-9._~:/@+-]+'
[ -z "$issuer" ] || [[ $issuer =~ ^https://$plain$ ]] || fail "--jwt-issuer is '$issuer'; it begins with https://."
[ -z "$audience" ] || [[ $audience =~ ^$plain(,$plain)*$ ]] || fail "--jwt-audience is '$audience'; give names with commas between."
[ -n "$issuer" ] && [ -n "$audience" ] || [ -z "$issuer$audience" ] || fail "--jwt-issuer and --jwt-audience belong together."
case $arch in x86_64) suffix='' ;; arm64) suffix=-arm64 ;; *) fail "--arch is '$arch'; give x86_64 or arm64." ;; esac
case $packaging in
    zip) code=dist/lambda-package$suffix.zip layer='' ;;
    layer) code=dist/lambda-function.zip layer=dist/layer$suffix.zip ;;
    *) fail "--packaging is '$packaging'; give zip or layer (an image goes through deploy/stack.sh)." ;;
esac

# What the function finds in its environment, as JSON, in a file: so no command line, and nothing shown, has a secret in it.
variables=$(mktemp)
trap 'rm -f "$variables"' EXIT
# json NAME VALUE: one more variable.
json() {
    local value=${2//\\/\\\\}
    printf '%s"%s": "%s"' "$separator" "$1" "${value//\"/\\\"}" >>"$variables"
    separator=', '
}
separator='{"Variables": {'
json RESONATE_URL "$url"
json WORKER_GROUP "$group"
[ -z "$token_file" ] || json RESONATE_TOKEN "$(<"$token_file")"
while IFS= read -r line || [ -n "$line" ]; do
    line=${line%$'\r'}
    case $line in '' | '#'*) continue ;; esac
    [[ $line =~ ^([A-Z][A-Z0-9_]*)=([^[:cntrl:]]*)$ ]] || fail "$env_file has a line that is not NAME=value: $line"
    case ${BASH_REMATCH[1]} in
        FUNCTION_NAME) name=${name:-${BASH_REMATCH[2]}} ;;
        RESONATE_URL | WORKER_GROUP | RESONATE_TOKEN) fail "$env_file sets ${BASH_REMATCH[1]}; give it as an option instead (--help)." ;;
        *) json "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" ;;
    esac
done <"$env_file"
printf '}}' >>"$variables"
[ -n "$name" ] || fail "$env_file has no FUNCTION_NAME, which is the function's name in AWS; add it, or give --name NAME."

need_tools aws sed mktemp
definition=dist/openapi${issuer:+-jwt}.json
need_package "$code" ${layer:+"$layer"} "$definition"
need_credentials

# ---------------------------------------------------------------- role
role=$name-role
policy=arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole
[ -z "$subnets" ] || policy=arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole
if ! there aws iam get-role --role-name "$role"; then
    run aws iam create-role --role-name "$role" --assume-role-policy-document \
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}' --query Role.Arn --output text
    run aws iam wait role-exists --role-name "$role"
fi
run aws iam attach-role-policy --role-name "$role" --policy-arn "$policy"

# ---------------------------------------------------------------- function
layers=()
if [ -n "$layer" ]; then
    layers=(--layers "$(ask "arn:aws:lambda:$REGION:$ACCOUNT:layer:$name:1" aws lambda publish-layer-version \
        --layer-name "$name" --zip-file "fileb://$layer" --compatible-runtimes python3.13 --compatible-architectures "$arch" \
        --query LayerVersionArn --output text)")
fi
configuration=(--function-name "$name" --runtime python3.13 --handler lambda_function.lambda_handler
    --role "arn:aws:iam::$ACCOUNT:role/$role" --timeout 30 --memory-size "$memory" "${layers[@]}"
    --environment "file://$variables")
[ -z "$subnets" ] || configuration+=(--vpc-config "SubnetIds=$subnets,SecurityGroupIds=$groups")
output=(--query LastUpdateStatus --output text)
if there aws lambda get-function --function-name "$name"; then
    # These are two changes: for a second or two the configuration is newer than the code. deploy/stack.sh has no such gap.
    run aws lambda update-function-configuration "${configuration[@]}" "${output[@]}"
    run aws lambda wait function-updated-v2 --function-name "$name"
    run aws lambda update-function-code --function-name "$name" --architectures "$arch" --zip-file "fileb://$code" "${output[@]}"
    run aws lambda wait function-updated-v2 --function-name "$name"
else
    # A new role is known to Lambda only after some seconds; until then Lambda refuses it, so it is tried again.
    for try in 1 2 3 4 5 6; do
        run aws lambda create-function "${configuration[@]}" --architectures "$arch" --zip-file "fileb://$code" --query State --output text && break
        [ "$try" -lt 6 ] || fail "Lambda did not take the function; its answer is above."
        run sleep 5
    done
    run aws lambda wait function-active-v2 --function-name "$name"
fi
version=$(ask 1 aws lambda publish-version --function-name "$name" --query Version --output text)

# ---------------------------------------------------------------- HTTP API
function_arn=arn:aws:lambda:$REGION:$ACCOUNT:function:$name
# The definition as API Gateway imports it: with name, function's ARN, issuer and audience in place of CloudFormation's functions.
invoked=arn:aws:apigateway:$REGION:lambda:path/2015-03-31/functions/$function_arn/invocations
tr '\n' ' ' <"$definition" | sed -E "s#\"uri\": *\{ *\"Fn::Sub\": *\"[^\"]*\" *\}#\"uri\": \"$invoked\"#
    s#\{ *\"Ref\": *\"AWS::StackName\" *\}#\"$name\"#
    s#\{ *\"Ref\": *\"JwtIssuer\" *\}#\"$issuer\"#
    s#\{ *\"Ref\": *\"JwtAudience\" *\}#[\"${audience//,/\", \"}\"]#" >dist/api.json
grep -q "$invoked" dist/api.json || fail "$definition names no integration of the function; run make package again."
api=$(ask '' aws apigatewayv2 get-apis --query "Items[?Name=='$name'].ApiId | [0]" --output text)
if [ -z "$api" ] || [ "$api" = None ]; then
    api=$(ask api123 aws apigatewayv2 import-api --body file://dist/api.json --query ApiId --output text)
    # shellcheck disable=SC2016  # the stage's name
    run aws apigatewayv2 create-stage --api-id "$api" --stage-name '$default' --auto-deploy --query StageName --output text
    run aws lambda add-permission --function-name "$name" --statement-id http-api --action lambda:InvokeFunction \
        --principal apigateway.amazonaws.com --source-arn "arn:aws:execute-api:$REGION:$ACCOUNT:$api/*" --query Statement --output text
else
    run aws apigatewayv2 reimport-api --api-id "$api" --body file://dist/api.json --query ApiId --output text
fi
printf '\nVersion %s of %s answers at https://%s.execute-api.%s.amazonaws.com\n' "$version" "$name" "$api" "$REGION"
