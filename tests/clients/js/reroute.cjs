// Preloaded with `node --require`: connections to the host names of CONNECTOR_TEST_HOSTS go to a port of this
// machine, as a line in the hosts file and a port redirect would do it. The name stays the one that TLS asks
// for and checks, so a client runs unmodified, whatever HTTP library it has.
const net = require('node:net')
const tls = require('node:tls')

const ports = JSON.parse(process.env.CONNECTOR_TEST_HOSTS ?? '{}')

function reroute(connect, secure) {
  return function (...args) {
    const [options] = args
    const port = typeof options === 'object' && options !== null ? ports[options.host ?? options.hostname] : undefined
    if (port !== undefined && !options.socket) {
      const name = options.host ?? options.hostname
      args[0] = { ...options, host: '127.0.0.1', hostname: undefined, port, lookup: undefined }
      if (secure) args[0].servername = options.servername || name
    }
    return connect.apply(this, args)
  }
}

tls.connect = reroute(tls.connect, true)
net.connect = net.createConnection = reroute(net.connect, false)
