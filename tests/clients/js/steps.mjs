// What the scripts share: their orders, and one line of JSON at the end.
export const given = JSON.parse(process.env.CONNECTOR_TEST)

export function done(result) {
  console.log(JSON.stringify(result))
}

// The error that a step must end in; a step that succeeds is the error then.
export async function failure(step) {
  try {
    await step()
  } catch (error) {
    return error
  }
  throw new Error('no error came')
}
