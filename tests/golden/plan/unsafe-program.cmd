# Programs that others may change, or that are not there, are refused; of what a copy of a host lacks nothing is said.
mkdir -p unsafe-host/opt/shared unsafe-host/opt/tmp && cp -R "$HOSTS/nas/." unsafe-host
for file in good all shared/tool tmp/tool; do echo '#!/bin/sh' >unsafe-host/opt/$file; chmod 755 unsafe-host/opt/$file; done
chmod 777 unsafe-host/opt/all && chmod 775 unsafe-host/opt/shared && chmod 1777 unsafe-host/opt/tmp
mkdir unsafe && cat >unsafe/a.rules <<'RULES'
on vm any stopped {
    run "/opt/good" one
    run "/opt/all"
    run "/opt/shared/tool"
    run "/opt/tmp/tool"
    run "/opt/none"
    run "/usr/local/libexec/unknown"
}
RULES
echo "<domain type='kvm'><name>frigate</name></domain>" >unsafe.xml
virt-rules plan frigate stopped --rules unsafe --sysroot unsafe-host --domain-xml unsafe.xml | sed 's/owner [0-9]*/owner N/'
virt-rules check --host --sysroot unsafe-host unsafe 2>&1 | grep -o "'/opt.*file-unusable." | sed 's/owner [0-9]*/owner N/'
