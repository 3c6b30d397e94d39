{
    for i in $(seq 0 69); do echo "device d$i is d$((i + 1))"; done
    echo "device d70 is 1ac1:089a"
    echo "on vm a started attach d0 as vfio"
} | virt-rules check -
{
    echo "device d0 is 1ac1:089a"
    for i in $(seq 1 25); do echo "device d$i is d$((i - 1)) or d$((i - 1))"; done
    echo "on vm a started attach d25 as vfio"
    echo "never attach class 0106"
} | virt-rules check -
