/**
 * What a parser of one setting throws: what is wrong with the value and what is expected instead.
 * The reader of the settings adds where the value stands, so the message names neither key nor file.
 */
export class InvalidSetting extends Error {
  override readonly name = 'InvalidSetting'
}
